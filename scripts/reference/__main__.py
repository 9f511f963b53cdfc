"""Write the generated pages; says which of them changed."""

from __future__ import annotations

from scripts.reference import FOLDER, render, stale

pages = render()
for name, text in pages.items():
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(FOLDER.parents[1])}")
for path in stale(pages):
    path.unlink()
    print(f"removed: {path.relative_to(FOLDER.parents[1])}")
