#!/usr/bin/env python3
"""Makes the corpus that fuzzing begins with out of the recordings in tests/fixtures: fuzz/corpus/sip and fuzz/corpus/hep."""
import gzip, pathlib, shutil

root = pathlib.Path(__file__).resolve().parent.parent
fixtures, corpus = root / "tests/fixtures", root / "fuzz/corpus"
for name in ("sip", "hep"):
    (corpus / name).mkdir(parents=True, exist_ok=True)
for file in (fixtures / "rfc4475").glob("*.dat"):
    shutil.copy(file, corpus / "sip" / file.name)
for file in (fixtures / "hep").glob("*.hex.gz"):
    lines = gzip.open(file, "rt").read().split("\n")
    packets = [bytes.fromhex(line.split(" ")[1]) for line in lines if line]
    # No more than one run takes: the first calls of the long ones.
    (corpus / "hep" / file.name.removesuffix(".hex.gz")).write_bytes(b"".join(packets)[:60_000])
    for nth, packet in enumerate(packets[::50]):
        head = packet.find(b"SIP/2.0")
        if head > 0:
            start = packet.rfind(b"\x00\x0f", 0, head) + 4
            (corpus / "sip" / f"{file.name}-{nth}").write_bytes(packet[start:])
