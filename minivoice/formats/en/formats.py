"""Dates as everywhere in the console; a time says its zone, by which `times.js` knows it."""

DATETIME_FORMAT = r"Y-m-d H:i:s \U\T\C"
DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
