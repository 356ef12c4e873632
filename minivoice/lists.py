"""Lists of the console that stay fast at any length: what they search and filter by is read off an index."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.core.paginator import InvalidPage
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_aware, make_aware
from unfold.paginator import InfinitePaginator

_LAG = timedelta(hours=1)  # a row's time is read before its key is given: never by so much
_MOST_PAGES = 1000


class Pages(InfinitePaginator):  # type: ignore[misc]
    """Pages of rows that nobody counts. Deep ones, which the database would have to count its way to, are not had."""

    def validate_number(self, number: Any) -> int:
        """Return the page's number. Raises InvalidPage."""
        valid: int = super().validate_number(number)
        if valid > _MOST_PAGES:
            raise InvalidPage(f"there are {_MOST_PAGES} pages at most: narrow the list down")
        return valid


class SinceFilter(admin.DateFieldListFilter):
    """Rows of a time, by their keys: these grow with time, so that no index on the time is needed."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return the rows of the time chosen."""
        rows = super().queryset(request, queryset)
        if rows is None:
            return rows
        bounds = {
            "pk__gte": (self.date_params.get(self.lookup_kwarg_since), -_LAG),
            "pk__lt": (self.date_params.get(self.lookup_kwarg_until), _LAG),
        }
        for bound, (text, lag) in bounds.items():
            if moment := _moment(text):
                rows = rows.filter(**{bound: first_since(queryset.model, self.field_path, moment + lag)})
        return rows


def first_since(model: type[Model], column: str, moment: datetime) -> int:
    """Return the key of the first row whose time is `moment` or later, by halving; one behind the last if none is."""
    table = model._meta.db_table  # noqa: SLF001  public in all but name
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_SINCE.format(table=table, column=column), [moment])
        return int(cursor.fetchone()[0])


def _moment(text: str | None) -> datetime | None:
    """Read a bound as the filter's links write it."""
    if not text:
        return None
    moment: datetime | date | None = parse_datetime(text) or parse_date(text)
    if moment is not None and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment is None or is_aware(moment) else make_aware(moment)


_FIRST_SINCE = """
    WITH RECURSIVE half AS (
        SELECT COALESCE(min(id), 1) - 1 AS low, COALESCE(max(id), 0) + 1 AS high FROM {table}
        UNION ALL
        SELECT CASE WHEN is_old THEN middle ELSE low END, CASE WHEN is_old THEN high ELSE middle END
        FROM half
        CROSS JOIN LATERAL (SELECT (low + high) / 2 AS middle) AS halved
        CROSS JOIN LATERAL (
            SELECT {column} < %s AS is_old FROM {table} WHERE id >= middle ORDER BY id LIMIT 1
        ) AS looked
        WHERE high - low > 1
    )
    SELECT min(high) FROM half
"""
