"""Vendored libraries are what their makers published, and say under what licence."""

import re
from hashlib import sha256
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "frontend" / "vendor"
ROW = re.compile(r"^\| (\S+\.js) \| [^|]+ \| ([\d.]+) \| \S+ \((\S+)\) \| ([0-9a-f]{64}) \|$", re.MULTILINE)


def test_vendored_files_are_unchanged_and_have_licences() -> None:
    listed = ROW.findall((VENDOR / "README.md").read_text())
    assert {file for file, *_ in listed} == {str(each.relative_to(VENDOR)) for each in VENDOR.rglob("*.js")}
    for file, version, licence, digest in listed:
        data = (VENDOR / file).read_bytes()
        assert sha256(data).hexdigest() == digest
        assert f"v{version}".encode() in data[:500]
        assert "Permission is hereby granted" in (VENDOR / licence).read_text()
