"""A statement as a file: PDF for people, CSV for programs. Staff's job that makes one."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape

from applications import jobs
from applications.models import Customer
from calls import statements
from calls.statements import Statement
from minivoice import money, tables

JOB = "statement"
PERMISSION = "applications.export"
_COLUMNS = ("line", "date", "text", "reference", "calls", "duration_seconds", "billsec_seconds", "amount", "currency")
_MARGIN = 50  # points; between two of them an A4 page has 495
_MOVED_WIDTHS, _CHARGED_WIDTHS, _BALANCE_WIDTHS = (62, 66, 100, 172, 95), (70, 165, 50, 55, 60, 95), (400, 95)
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")  # Debian's fonts-dejavu-core: letters of most scripts
_FONTS = {  # and what comes with reportlab: those of Western Europe
    "plain": (_DEJAVU / "DejaVuSans.ttf", "Vera.ttf"),
    "bold": (_DEJAVU / "DejaVuSans-Bold.ttf", "VeraBd.ttf"),
}
_INK, _GREY, _RULE = "#1f2937", "#6b7280", "#d1d5db"


@jobs.kind(JOB, permission=PERMISSION, is_one_transaction=False)
def make(run: jobs.Run) -> jobs.Result:
    """Write the statement of the `customer` for the UTC month that begins on `month`, as `form`: `pdf` or `csv`."""
    params = run.job.params
    customer = Customer.objects.get(pk=params["customer"])
    try:
        statement = statements.read(customer, month=date.fromisoformat(params["month"]), now=run.now)
    except statements.DoesNotAddUp as error:
        raise jobs.Failed(f"No statement was made: {error}. Reconcile the books.") from error
    run.tell(90, "writing")
    (write_pdf if params["form"] == "pdf" else write_csv)(statement, run.file)
    until = f"-provisional-{statement.until:%Y%m%dT%H%M%SZ}" if statement.is_provisional else ""
    name = f"statement-{customer.public_id}-{statement.start:%Y-%m}{until}.{params['form']}"
    said = "Its lines add up to the ledger to the last digit."
    return jobs.Result(f"{statement.title}. {said}" if until else said, file_name=name)


def write_csv(statement: Statement, file: IO[bytes]) -> None:
    """Write a statement as CSV: a line each, the balances before and after them."""
    with tables.open_table(file, "csv", _COLUMNS) as write:
        for line in _lines(statement):
            write([*line, statement.currency])


def write_pdf(statement: Statement, file: IO[bytes]) -> None:
    """Write a statement as PDF: A4, its pages numbered, the heads of its tables on each page."""
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer  # who writes no paper need not load it

    styles = _styles()
    title, heading, words = (styles[name] for name in ("title", "heading", "words"))
    about = f"{statement.customer.name} · {statement.customer.public_id} · {statement.currency}"
    page = SimpleDocTemplate(
        file,
        pagesize=(595, 842),
        title=f"{statement.title}, {statement.customer.name}",
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN),
    )
    story: list[Any] = [Paragraph(statement.title, title), Paragraph(escape(about), words), Spacer(0, 12)]
    story.append(_table([("", statement.currency), *_balances(statement)], _BALANCE_WIDTHS, styles))
    story.append(Paragraph("Top-ups, refunds and adjustments", heading))
    moved = [("Date", "Kind", "Reference", "Call", statement.currency), *_moved(statement)]
    story.append(_table(moved, _MOVED_WIDTHS, styles) if len(moved) > 1 else Paragraph("None.", words))
    story.append(Paragraph("Charges by destination", heading))
    charged = [("Prefix", "Destination", "Calls", "Seconds", "Billed s", statement.currency), *_charged(statement)]
    story.append(_table(charged, _CHARGED_WIDTHS, styles) if len(charged) > 1 else Paragraph("None.", words))
    story += [Spacer(0, 18), Paragraph(statement.proof, words)]
    page.build(story, onFirstPage=_number, onLaterPages=_number)


def _lines(statement: Statement) -> Iterator[list[tables.Cell]]:
    yield ["opening balance", statement.start.date(), statement.title, "", None, None, None, statement.opening]
    for line in statement.movements:
        yield [line.kind.lower(), line.at, line.call_id, line.reference, None, None, None, line.amount]
    for to in statement.destinations:
        text = f"{to.prefix} {to.description}".strip()
        yield ["charges", None, text, "", to.calls, to.seconds, to.billed_seconds, to.amount]
    end, until = (
        ("provisional balance", statement.until)
        if statement.is_provisional
        else ("closing balance", statement.until.date())
    )
    yield [end, until, statement.proof, "", None, None, None, statement.closing]


def _balances(statement: Statement) -> Iterator[Sequence[str]]:
    movements = sum((line.amount for line in statement.movements), Decimal(0))
    yield f"Opening balance, {statement.start:%Y-%m-%d %H:%M:%S} UTC", money.text(statement.opening)
    yield "Top-ups, refunds and adjustments", money.text(movements)
    yield "Charges", money.text(statement.moved - movements)
    closing = "Provisional" if statement.is_provisional else "Closing"
    yield f"{closing} balance, {statement.until:%Y-%m-%d %H:%M:%S} UTC", money.text(statement.closing)


def _moved(statement: Statement) -> Iterator[Sequence[str]]:
    for line in statement.movements:
        yield f"{line.at:%Y-%m-%d}", line.kind, line.reference, line.call_id, money.text(line.amount)


def _charged(statement: Statement) -> Iterator[Sequence[str]]:
    for to in statement.destinations:
        figures = (f"{figure:,}" if figure is not None else "–" for figure in (to.calls, to.seconds, to.billed_seconds))  # noqa: RUF001
        yield to.prefix, to.description, *figures, money.text(to.amount)


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int], styles: Any) -> Any:
    """Return a table whose last column, and whatever is figures, is to the right."""
    from reportlab.platypus import LongTable, Paragraph

    cells = [
        [
            Paragraph(escape(text), styles["figure" if _is_figure(place, len(row)) else "cell"])
            for place, text in enumerate(row)
        ]
        for row in rows
    ]
    rules = [("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK), ("LINEBELOW", (0, 1), (-1, -1), 0.3, _RULE)]
    return LongTable(cells, colWidths=widths, repeatRows=1, style=[*rules, ("VALIGN", (0, 0), (-1, -1), "TOP")])


def _is_figure(place: int, columns: int) -> bool:
    return place == columns - 1 or (columns == len(_CHARGED_WIDTHS) and place >= 2)


def _styles() -> Any:
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle, StyleSheet1
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name, (many_letters, few) in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(many_letters) if many_letters.exists() else few))
    styles = StyleSheet1()
    words = ParagraphStyle("words", fontName="plain", fontSize=8.5, leading=12, textColor=_INK)
    styles.add(words)
    styles.add(ParagraphStyle("title", words, fontName="bold", fontSize=15, leading=20, spaceAfter=4))
    styles.add(ParagraphStyle("heading", words, fontName="bold", fontSize=10, leading=14, spaceBefore=18, spaceAfter=6))
    styles.add(ParagraphStyle("cell", words, fontSize=7.5, leading=10))
    styles.add(ParagraphStyle("figure", styles["cell"], alignment=TA_RIGHT))
    return styles


def _number(canvas: Any, page: Any) -> None:
    canvas.setFont("plain", 7)
    canvas.setFillColor(_GREY)
    canvas.drawRightString(595 - _MARGIN, _MARGIN / 2, f"Page {page.page}")
