"""Write the generated pages; says which of them changed."""

from __future__ import annotations

from scripts.reference import FOLDER, render

for name, text in render().items():
    path = FOLDER / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(FOLDER.parents[1])}")
