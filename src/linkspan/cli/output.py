"""What commands print: tables as Go's tabwriter aligns them, rows by `--format`, several objects each with its own error."""
# ruff: noqa: PLC0415 - most calls print no template, and never import that module

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from linkspan.cli.failures import CommandError, Exit

Row = Mapping[str, Any]
_ID_LENGTH = 12


def table(rows: Iterable[Sequence[str]], *, narrowest: int = 10, gap: int = 3) -> str:
    """Align cells into columns: each at least `narrowest` wide, `gap` spaces between; the last is not padded."""
    lines = [[str(cell) for cell in row] for row in rows]
    count = max(map(len, lines), default=0)
    widths = [max([narrowest, *(len(line[column]) + gap for line in lines if column < len(line) - 1)]) for column in range(count)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)) + line[-1] + "\n" for line in lines if line
    )


def print_rows(rows: Iterable[Row], form: str, headers: Mapping[str, str], columns: Sequence[str]) -> None:
    """Print rows as `--format` says: empty or `table` for `columns`, `json`, `table TEMPLATE`, or a template for each row.

    Raises CommandError if the template is wrong.
    """
    if form in ("", "table"):
        lines = [[headers[column] for column in columns], *([str(row[column]) for column in columns] for row in rows)]
        sys.stdout.write(table(lines))
        return
    form = form.replace("\\t", "\t").replace("\\n", "\n")
    tabular = form.startswith("table ")
    source = "{{json .}}" if form == "json" else form.removeprefix("table ").strip() if tabular else form
    render = renderer(source, "failed to parse template", "failed to execute template")
    if not tabular:
        for row in rows:
            print(render(row))
        return
    heading = {**headers, "Label": lambda name: name.rsplit(".", 1)[-1]}
    sys.stdout.write(table([line.split("\t") for row in (heading, *rows) for line in render(row).split("\n")]))


def renderer(source: str, unparsed: str, failed: str, status: int = 1) -> Callable[[object], str]:
    """Return what renders a value by the template `source`.

    Raises CommandError that begins with `unparsed` if it is no template (with `status`); rendering raises one that begins with `failed`.
    """
    from linkspan.cli.template import Template
    from linkspan.cli.template_parse import TemplateError

    try:
        template = Template(source)
    except TemplateError as error:
        raise CommandError(f"{unparsed}: {error}", status) from error

    def render(value: object) -> str:
        try:
            return template.render(value)
        except TemplateError as error:
            raise CommandError(f"{failed}: {error}") from error

    return render


def for_each(names: Iterable[str], action: Callable[[str], str | None]) -> int:
    """Run `action` on every name, print what it returns, and go on after an error; return the exit status."""
    status = 0
    for name in names:
        try:
            said = action(name)
        except CommandError as error:
            sys.stdout.flush()
            complain(str(error))
            status = 1
        else:
            if said is not None:
                print(said)
    return status


def complain(message: str) -> None:
    """Say something on stderr."""
    print(message, file=sys.stderr, flush=True)


def confirm(question: str) -> None:
    """Ask before something is destroyed.

    Raises Exit if the answer is not yes.
    """
    print(f"{question}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Exit(0)


def short_id(text: str) -> str:
    """Return the first 12 digits of an id, without `sha256:`."""
    return text.removeprefix("sha256:")[:_ID_LENGTH]


def shorten(text: str, length: int) -> str:
    """Cut text that is too long, and show that by `…`."""
    return text if len(text) <= length else text[: length - 1] + "…"


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Return the LABELS column: `a=1,b=2`."""
    return ",".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))
