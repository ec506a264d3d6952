//! What happens in the demo: calls that a small firm has, told in one line each.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::pbx::player::Player;
use super::pbx::script::{Refusal, Script, ScriptError};

pub use super::pbx::script::Caller;

/// A call of the story.
#[derive(Debug, Clone)]
pub struct Scene {
    /// From the start of the story.
    pub at: Duration,
    /// One sentence for the terminal.
    pub told: String,
    pub script: Script,
}

const AGENTS: [&str; 3] = ["101", "102", "103"];
const RING_GROUP: &str = "+493023125100";
const QUEUE: &str = "+493023125200";

/// Who calls where nobody is known.
const STRANGERS: [&str; 4] = ["+493023125987", "+12125550199", "+442079460987", "+493023125976"];

/// Ten calls of all kinds within 20 seconds. `callers` are people whom the organisation knows; fewer than six call more than once.
#[must_use]
pub fn once(callers: &[Caller]) -> Vec<Scene> {
    let who = |nth| person(callers, nth);
    vec![
        answered(0, &who(0), "101", 1_500, 4_000),
        missed(300, &Caller::new(stranger(0), ""), "102", 3_000),
        outbound(600, "103", &who(1), 1_500, 3_000),
        withheld(3_600, "102", 1_200, 2_400),
        internal(5_800, "101", "103", 600, 1_000),
        ring_group(7_600, &who(2), "103", 1_500, 2_500),
        attended(9_300, &who(3), ["101", "102"], 800, 1_200),
        blind(11_800, &who(4), ["103", "101"], 900, 1_400),
        queue(14_700, &who(5), ["102", "103"], 1_400, 1_600),
        answered(16_800, &Caller::new(stranger(1), ""), "101", 800, 1_200),
    ]
}

/// Calls without end, one every few seconds, the same ones for the same seed.
#[must_use]
pub fn endless(callers: &[Caller], seed: u64) -> Endless {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut callers = callers.to_vec();
    chance.shuffle(&mut callers);
    Endless { callers, turn: 0, chance, at: Duration::ZERO, busy_until: [Duration::ZERO; 3] }
}

/// See [`endless`].
#[derive(Debug, Clone)]
pub struct Endless {
    callers: Vec<Caller>,
    /// Whose turn it is to call: nobody calls on two lines at a time.
    turn: usize,
    chance: fastrand::Rng,
    at: Duration,
    /// Of each of the agents, so that nobody talks on two phones at a time.
    busy_until: [Duration; 3],
}

impl Iterator for Endless {
    type Item = Scene;

    fn next(&mut self) -> Option<Scene> {
        self.at += Duration::from_millis(self.chance.u64(1_000..4_000));
        let free = self.free_agents();
        let (first, second) = (pick(&free, 0), free.get(1).copied());
        let (scene, second) = match second.filter(|_| self.chance.u32(..4) == 0) {
            Some(second) => (self.scene_of_two(first, second), second),
            None => (self.scene_of_one(first), first),
        };
        let until = scene.at + scene.script.length();
        for (busy, agent) in self.busy_until.iter_mut().zip(AGENTS) {
            if agent == first || agent == second {
                *busy = until;
            }
        }
        Some(scene)
    }
}

impl Endless {
    /// One at least, waited for if need be; the first is whoever has been free the longest.
    fn free_agents(&mut self) -> Vec<&'static str> {
        let mut agents = self.busy_until.into_iter().zip(AGENTS).collect::<Vec<_>>();
        agents.sort_unstable();
        let soonest = agents.first().map_or(Duration::ZERO, |(until, _)| *until);
        self.at = self.at.max(soonest);
        agents.into_iter().filter(|(until, _)| *until <= self.at).map(|(_, agent)| agent).collect()
    }

    fn scene_of_one(&mut self, agent: &str) -> Scene {
        let (at, ring, talk) = self.times();
        let caller = self.next_caller();
        match self.chance.u32(..11) {
            0 => ring_group(at, &caller, agent, ring, talk),
            1 => missed(at, &caller, agent, ring),
            2 => withheld(at, agent, ring, talk),
            3 => held(at, &caller, agent, ring, talk),
            4 => busy(at, agent, &caller),
            5 => answered(at, &Caller::new(stranger(self.chance.usize(..)), ""), agent, ring, talk),
            6 | 7 => outbound(at, agent, &caller, ring, talk),
            _ => answered(at, &caller, agent, ring, talk),
        }
    }

    fn scene_of_two(&mut self, first: &str, second: &str) -> Scene {
        let (at, ring, talk) = self.times();
        let caller = self.next_caller();
        match self.chance.u32(..4) {
            0 => queue(at, &caller, [first, second], ring, talk),
            1 => blind(at, &caller, [first, second], ring, talk),
            2 => attended(at, &caller, [first, second], ring, talk),
            _ => internal(at, first, second, ring, talk),
        }
    }

    fn next_caller(&mut self) -> Caller {
        self.turn = self.turn.wrapping_add(1);
        person(&self.callers, self.turn)
    }

    /// Start, ringing and talking, in milliseconds.
    fn times(&mut self) -> (u64, u64, u64) {
        let at = u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX);
        (at, self.chance.u64(1_000..3_000), self.chance.u64(2_000..8_000))
    }
}

/// Starts each call when its time has come, and tells of it as it begins. Returns when the last has begun.
///
/// # Errors
/// A script asks for something impossible.
pub async fn play(
    scenes: impl IntoIterator<Item = Scene>,
    player: &mut Player,
    mut tell: impl FnMut(&str),
) -> Result<(), ScriptError> {
    let begun = Instant::now();
    for scene in scenes {
        sleep_until(begun + scene.at).await;
        tell(&scene.told);
        player.start(&scene.script, Duration::ZERO)?;
    }
    Ok(())
}

fn answered(at: u64, from: &Caller, agent: &str, ring: u64, talk: u64) -> Scene {
    let told = format!("{} calls {agent}; {} answers after {}", name(from), first_name(agent), seconds(ring));
    let script = direct(from, agent).after(ring).answer(agent).talk(talk).hangup_by_caller();
    scene(at, told, script)
}

fn missed(at: u64, from: &Caller, agent: &str, ring: u64) -> Scene {
    let told = format!("{} calls {agent} and gives up after {}", name(from), seconds(ring));
    scene(at, told, direct(from, agent).after(ring).hangup_by_caller())
}

fn held(at: u64, from: &Caller, agent: &str, ring: u64, talk: u64) -> Scene {
    let told = format!("{} calls {agent}; {} answers and puts them on hold for a while", name(from), first_name(agent));
    let script =
        direct(from, agent).after(ring).answer(agent).talk(talk / 3).hold(talk / 3).talk(talk / 3).hangup_by_callee();
    scene(at, told, script)
}

fn withheld(at: u64, agent: &str, ring: u64, talk: u64) -> Scene {
    let told = format!(
        "Somebody who withholds the number calls {agent}; {} answers after {}",
        first_name(agent),
        seconds(ring)
    );
    let script = Script::inbound(&Caller::withheld(), &direct_number(agent)).ring(&[agent]);
    scene(at, told, script.after(ring).answer(agent).talk(talk).hangup_by_caller())
}

fn ring_group(at: u64, from: &Caller, winner: &str, ring: u64, talk: u64) -> Scene {
    let told = format!("{} calls the ring group; all phones ring, {} answers", name(from), first_name(winner));
    let script = Script::inbound(&from.nameless(), RING_GROUP).ring(&AGENTS);
    scene(at, told, script.after(ring).answer(winner).talk(talk).hangup_by_callee())
}

fn queue(at: u64, from: &Caller, agents: [&str; 2], ring: u64, talk: u64) -> Scene {
    let [first, second] = agents;
    let told = format!(
        "{} waits in the support queue; {} does not pick up, {} does",
        name(from),
        first_name(first),
        first_name(second)
    );
    let script = Script::inbound(&from.nameless(), QUEUE).queue("support").ring(&[first]).after(ring).no_answer();
    scene(at, told, script.after(500).ring(&[second]).after(ring / 2).answer(second).talk(talk).hangup_by_caller())
}

fn blind(at: u64, from: &Caller, agents: [&str; 2], ring: u64, talk: u64) -> Scene {
    let [first, second] = agents;
    let told =
        format!("{} calls {first}; {} sends the call on to {}", name(from), first_name(first), first_name(second));
    let script = direct(from, first).after(ring).answer(first).talk(talk).blind_transfer(second);
    scene(at, told, script.after(ring).answer(second).talk(talk).hangup_by_caller())
}

fn attended(at: u64, from: &Caller, agents: [&str; 2], ring: u64, talk: u64) -> Scene {
    let [first, second] = agents;
    let told = format!(
        "{} calls {first}; {} asks {} first, then puts the caller through",
        name(from),
        first_name(first),
        first_name(second)
    );
    let script = direct(from, first).after(ring).answer(first).talk(talk).consult(second).after(ring).answer(second);
    scene(at, told, script.talk(talk).complete_transfer().talk(talk).hangup_by_callee())
}

fn outbound(at: u64, agent: &str, to: &Caller, ring: u64, talk: u64) -> Scene {
    let told = format!("{} calls {}, who answers after {}", first_name(agent), name(to), seconds(ring));
    let script = Script::outbound(agent, &to.number).after(200).ring_outside().after(ring).answer_outside();
    scene(at, told, script.talk(talk).hangup_by_caller())
}

fn busy(at: u64, agent: &str, to: &Caller) -> Scene {
    let told = format!("{} calls {}: the line is busy", first_name(agent), name(to));
    scene(at, told, Script::outbound(agent, &to.number).after(500).refuse(Refusal::Busy))
}

fn internal(at: u64, from: &str, to: &str, ring: u64, talk: u64) -> Scene {
    let told = format!("{} calls {}, a matter within the firm", first_name(from), first_name(to));
    let script = Script::internal(from, to).ring(&[to]).after(ring).answer(to).talk(talk).hangup_by_caller();
    scene(at, told, script)
}

fn scene(at: u64, told: String, script: Script) -> Scene {
    Scene { at: Duration::from_millis(at), told, script }
}

/// Carriers send a number and seldom a name; who it is must be found out.
fn direct(from: &Caller, agent: &str) -> Script {
    Script::inbound(&from.nameless(), &direct_number(agent)).ring(&[agent])
}

fn direct_number(agent: &str) -> String {
    format!("+493023125{agent}")
}

fn name(caller: &Caller) -> &str {
    if caller.name.is_empty() { "An unknown number" } else { &caller.name }
}

fn first_name(agent: &str) -> &str {
    match agent {
        "101" => "Anna",
        "102" => "Ben",
        "103" => "Cleo",
        other => other,
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

fn person(callers: &[Caller], nth: usize) -> Caller {
    let nth = nth.checked_rem(callers.len()).and_then(|nth| callers.get(nth));
    nth.cloned().unwrap_or_else(|| Caller::new(stranger(2), ""))
}

fn stranger(nth: usize) -> &'static str {
    pick(&STRANGERS, nth % STRANGERS.len())
}

fn pick(from: &[&'static str], nth: usize) -> &'static str {
    from.get(nth).or(from.first()).copied().unwrap_or("101")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::pbx::asterisk::World;
    use crate::sim::pbx::script::Ids;

    fn callers() -> Vec<Caller> {
        (0..6).map(|nth| Caller::new(&format!("+49302312544{nth}"), &format!("Person {nth}"))).collect()
    }

    #[test]
    fn the_story_is_over_in_twenty_seconds_and_can_be_played() {
        let scenes = once(&callers());
        assert!(scenes.len() >= 8);
        for scene in scenes {
            let end = scene.at + scene.script.length();
            assert!(end < Duration::from_secs(20), "{}: {end:?}", scene.told);
            scene.script.reel("2026-11-21T17:00:00Z".parse().unwrap(), &Ids::new(1)).unwrap();
        }
    }

    #[test]
    fn the_endless_story_goes_on_at_a_human_pace_the_same_for_the_same_seed() {
        let scenes = endless(&callers(), 7).take(150).collect::<Vec<_>>();
        let again = endless(&callers(), 7).take(150).collect::<Vec<_>>();
        assert!(scenes.iter().zip(&again).all(|(one, other)| one.told == other.told && one.at == other.at));
        let ids = Ids::new(1);
        for scene in &scenes {
            scene.script.reel("2026-11-21T17:00:00Z".parse().unwrap(), &ids).unwrap();
        }
        let hours = scenes.last().unwrap().at.as_secs_f64() / 3_600.0;
        let pace = 150.0 / hours;
        assert!((600.0..2_500.0).contains(&pace), "{pace} calls an hour");
    }

    #[test]
    fn every_call_ends_with_all_its_channels_and_bridges() {
        let hung_up_while_consulting = Script::inbound(&Caller::new("+493023125444", ""), "+493023125101")
            .ring(&["101"])
            .answer("101")
            .consult("102")
            .after(500)
            .hangup_by_caller();
        let scripts = endless(&callers(), 5).take(80).map(|scene| scene.script);
        let (ids, mut world) = (Ids::new(1), World::default());
        for script in scripts.chain([hung_up_while_consulting]) {
            let start = "2026-11-21T17:00:00Z".parse().unwrap();
            for cue in script.reel(start, &ids).unwrap().cues {
                world.apply(&cue.frame);
            }
            assert!(world.channels().is_empty() && world.bridges().is_empty(), "{script:?}");
        }
    }

    #[test]
    fn nobody_talks_on_two_lines_at_a_time() {
        // Two bridges at once are what a consultation needs.
        for (scene, most) in most_bridges(&once(&callers())) {
            assert!(most <= 2, "{scene}");
        }
        let scenes = endless(&callers(), 3).take(80).collect::<Vec<_>>();
        for (agent, most) in most_bridges(&scenes) {
            assert!(most <= 2, "{agent}");
        }
        let plain = scenes.into_iter().filter(|scene| !scene.told.contains("first, then"));
        for (agent, most) in most_bridges(&plain.collect::<Vec<_>>()) {
            assert_eq!(most, 1, "{agent}");
        }
    }

    /// How many bridges each agent was in at a time, at the most.
    fn most_bridges(scenes: &[Scene]) -> BTreeMap<String, i32> {
        let ids = Ids::new(1);
        let mut moves = Vec::new();
        for scene in scenes {
            let start = "2026-11-21T17:00:00Z".parse().unwrap();
            for cue in scene.script.reel(start, &ids).unwrap().cues {
                let frame: serde_json::Value = serde_json::from_str(&cue.frame).unwrap();
                let step = match frame["type"].as_str().unwrap() {
                    "ChannelEnteredBridge" => 1,
                    "ChannelLeftBridge" => -1,
                    _ => continue,
                };
                let name = frame["channel"]["name"].as_str().unwrap();
                moves.push((scene.at + cue.at, step, name[..9].to_owned()));
            }
        }
        moves.sort();
        let (mut now, mut most) = (BTreeMap::<String, i32>::new(), BTreeMap::<String, i32>::new());
        for (_, step, agent) in moves.into_iter().filter(|(_, _, name)| name.starts_with("PJSIP/10")) {
            let now = now.entry(agent.clone()).or_default();
            *now += step;
            let most = most.entry(agent).or_default();
            *most = (*most).max(*now);
        }
        most
    }

    #[test]
    fn without_known_people_strangers_call() {
        assert!(once(&[]).iter().all(|scene| !scene.told.is_empty()));
    }
}
