"""From the columns of somebody's rate sheet to the fields of a rate: which is which, and is each line fit?"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

# What carriers call them, in small letters and digits only.
_NAMES: Mapping[str, frozenset[str]] = {
    "prefix": frozenset({"prefix", "code", "dialcode", "dialprefix", "areacode", "destinationcode", "countrycode"}),
    "description": frozenset({"description", "destination", "name", "destinationname", "area"}),
    "price_per_minute": frozenset({"priceperminute", "price", "rate", "rateperminute", "ratemin", "pricemin"}),
    "connection_fee": frozenset({"connectionfee", "setupfee", "connectfee", "connectioncharge", "setup"}),
    "increments": frozenset({"increments", "increment", "billingincrement", "billingincrements", "billing"}),
    "initial_increment": frozenset({"initialincrement", "initial", "firstincrement", "interval1"}),
    "subsequent_increment": frozenset({"subsequentincrement", "subsequent", "nextincrement", "intervaln"}),
    "minimum_charge": frozenset({"minimumcharge", "mincharge", "minimum"}),
    "blocked": frozenset({"blocked", "barred"}),
}
FIELDS = tuple(_NAMES)
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6}0*)?")
_INCREMENTS = re.compile(r"([0-9]{1,5})\s*/\s*([0-9]{1,5})")
_PREFIX = re.compile(r"[1-9][0-9]{0,14}|sip")
_YES, _NO = frozenset({"yes", "y", "true", "1", "blocked"}), frozenset({"", "no", "n", "false", "0"})
_MOST_SECONDS = 32_767
_DESCRIPTION_CHARACTERS = 100


class Unmapped(Exception):
    """It is not clear which column is which field; the message says what to say."""


def find(columns: Sequence[str], chosen: Mapping[str, str]) -> dict[str, int]:
    """Return the position of each field's column: as `chosen` (field → column; '' where it has none), or guessed by the
    column's name.

    Raises Unmapped when prefix or price has no column, a choice names what is not there, or a guess is not clear.
    """
    places: dict[str, int] = {}
    for field, column in chosen.items():
        if field not in _NAMES:
            raise Unmapped(f"there is no field {field}; there are: {', '.join(FIELDS)}")
        if not column:
            continue
        if column not in columns:
            raise Unmapped(f"there is no column {column}; there are: {', '.join(columns)}")
        places[field] = columns.index(column)
    for field, free in _likely(columns, but=places.values()):
        if field not in chosen and len(free) > 1:
            found = ", ".join(columns[place] for place in free)
            raise Unmapped(f"{field} may be any of the columns {found}: choose by --map {field}=COLUMN")
        if field not in chosen and free:
            places[field] = free[0]
    for field in ("prefix", "price_per_minute"):
        if field not in places:
            raise Unmapped(f"no column is the {field}; there are: {', '.join(columns)}. Say --map {field}=COLUMN")
    return places


def guess(columns: Sequence[str]) -> dict[str, str]:
    """Return the column of each field that one column alone is called like."""
    return {field: columns[found[0]] for field, found in _likely(columns, but=()) if len(found) == 1}


def reader(places: Mapping[str, int]) -> Callable[[Sequence[str]], list[str]]:
    """Return what turns the cells of a row into the texts of a rate: prefix, description, price, fee, both increments,
    minimum, blocked (`t` or `f`). What has no column, or is empty, has its default; a blocked rate needs no price.

    It raises ValueError, whose message says what is wrong with the row.
    """

    def read(cells: Sequence[str]) -> list[str]:
        given = {field: cells[place] if place < len(cells) else "" for field, place in places.items()}
        blocked = _blocked(given.get("blocked", ""))
        price = given["price_per_minute"] or ("0" if blocked else "")
        return [
            _prefix(given["prefix"]),
            _description(given.get("description", "")),
            _amount("price_per_minute", price),
            _amount("connection_fee", given.get("connection_fee") or "0"),
            *_increments(given),
            _amount("minimum_charge", given.get("minimum_charge") or "0"),
            "t" if blocked else "f",
        ]

    return read


def _likely(columns: Sequence[str], *, but: Collection[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield each field with the positions of the columns that are called like it."""
    for field, names in _NAMES.items():
        yield field, [place for place, name in enumerate(columns) if _plain(name) in names and place not in but]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _prefix(text: str) -> str:
    prefix = text.removeprefix("+").replace(" ", "").replace("-", "").lower()
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {text!r} is not 1 to 15 digits")
    return prefix


def _description(text: str) -> str:
    text = " ".join(text.split())  # line ends and the hard spaces of spreadsheets are spaces
    if len(text) > _DESCRIPTION_CHARACTERS or not text.isprintable():
        raise ValueError(f"description has more than {_DESCRIPTION_CHARACTERS} characters, or some that do not print")
    return text


def _amount(field: str, text: str) -> str:
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"{field} {text!r} is not an amount such as 0.0125, with at most six decimals")
    return text


def _increments(given: Mapping[str, str]) -> tuple[str, str]:
    initial, subsequent = given.get("initial_increment") or "60", given.get("subsequent_increment") or "60"
    if both := given.get("increments"):
        written = _INCREMENTS.fullmatch(both)
        if written is None:
            raise ValueError(f"increments {both!r} are not seconds such as 60/60")
        initial, subsequent = written.groups()
    for seconds in (initial, subsequent):
        if not re.fullmatch(r"[0-9]{1,5}", seconds) or not 1 <= int(seconds) <= _MOST_SECONDS:
            raise ValueError(f"increment {seconds!r} is not 1 to {_MOST_SECONDS} seconds")
    return initial, subsequent


def _blocked(text: str) -> bool:
    word = text.lower()
    if word not in _YES | _NO:
        raise ValueError(f"blocked {text!r} is neither yes nor no")
    return word in _YES
