//! A change as a line of text: its checksum, its number, what it is, and its JSON; parted by tabs, which JSON never holds. Pure.

use std::fmt::Write;

use crate::journal::op::Op;
use crate::journal::seal::sum;

/// Adds the line of a change. Those that do not go ahead have none.
pub(super) fn push(lines: &mut String, number: u64, op: &Op) {
    let body = match op {
        Op::Keep { call, json } => format!("{number}\tkeep\t{call}\t{json}"),
        Op::Ended { call, record, answer: None } => format!("{number}\tended\t{call}\t{record}"),
        Op::Ended { call, record, answer: Some(answer) } => format!("{number}\tended\t{call}\t{record}\t{answer}"),
        Op::Forget { call } => format!("{number}\tforget\t{call}"),
        Op::Flush
        | Op::Note { .. }
        | Op::Retry(_)
        | Op::Drop(_)
        | Op::Split(_)
        | Op::Answered(_)
        | Op::PutOnWire { .. }
        | Op::Settle(_)
        | Op::Compared { .. }
        | Op::Resume { .. }
        | Op::Park { .. }
        | Op::Prune { .. } => return,
    };
    // Writing to a string cannot fail.
    let _ = writeln!(lines, "{}\t{body}", sum(body.as_bytes()));
}

/// What a file holds: the lines that are whole, and how many are not. A last line without its end is none: its writer died.
pub(super) fn read(file: &[u8]) -> (Vec<(u64, Op)>, usize) {
    let whole = file.iter().rposition(|byte| *byte == b'\n').and_then(|end| file.get(..end)).unwrap_or_default();
    let mut damaged = 0;
    let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.filter_map(|line| {
        let read = parse(line);
        damaged += usize::from(read.is_none());
        read
    });
    (read.collect(), damaged)
}

fn parse(line: &[u8]) -> Option<(u64, Op)> {
    let (found, body) = std::str::from_utf8(line).ok()?.split_once('\t')?;
    if found != sum(body.as_bytes()) {
        return None;
    }
    let mut parts = body.split('\t');
    let number = parts.next()?.parse().ok()?;
    let (kind, call) = (parts.next()?, parts.next()?.to_owned());
    let op = match kind {
        "keep" => Op::Keep { call, json: parts.next()?.to_owned() },
        "ended" => Op::Ended { call, record: parts.next()?.to_owned(), answer: parts.next().map(str::to_owned) },
        "forget" => Op::Forget { call },
        _ => return None,
    };
    Some((number, op))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops() -> Vec<(u64, Op)> {
        let call = || "hq-pbx1-1".to_owned();
        let json = || r#"{"name":"A\tB\nC \u0000"}"#.to_owned();
        vec![
            (7, Op::Keep { call: call(), json: json() }),
            (8, Op::Ended { call: call(), record: json(), answer: None }),
            (9, Op::Ended { call: call(), record: json(), answer: Some(json()) }),
            (10, Op::Forget { call: call() }),
        ]
    }

    fn text() -> String {
        let mut lines = String::new();
        for (number, op) in ops() {
            push(&mut lines, number, &op);
        }
        lines
    }

    fn read_text(file: &[u8]) -> (String, usize) {
        let (read, damaged) = read(file);
        (format!("{read:?}"), damaged)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read_text(text().as_bytes()), (format!("{:?}", ops()), 0));
        assert_eq!(read_text(b""), ("[]".to_owned(), 0));
    }

    #[test]
    fn a_line_that_was_cut_off_is_none_and_the_others_count() {
        let text = text();
        for end in 0..text.len() {
            let (read, damaged) = read(&text.as_bytes()[..end]);
            assert_eq!(damaged, 0);
            assert_eq!(read.len(), text[..end].matches('\n').count());
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let text = text();
        let whole: Vec<String> = ops().iter().map(|op| format!("{op:?}")).collect();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut file = text.clone().into_bytes();
                file[at] ^= 1 << bit;
                let (read, damaged) = read(&file);
                assert!(read.len() < whole.len(), "byte {at}, bit {bit}");
                assert!(damaged > 0 || at == text.len() - 1, "byte {at}, bit {bit}");
                assert!(read.iter().all(|op| whole.contains(&format!("{op:?}"))));
            }
        }
    }
}
