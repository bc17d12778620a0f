#!/usr/bin/env python3
"""Write nanp.csv and countries.csv beside this file.

Sources: libphonenumber's time zone and place data, as packed in the Python
package `phonenumbers` (Apache-2.0), and the IANA time zone database, as packed
in the Python package `tzdata` (public domain). The corrections are below, each
with its reason.

Run:    python -m venv v && v/bin/pip install phonenumbers==9.0.43 tzdata==2026.6
        v/bin/python generate.py

The output depends only on these two versions: zones of a country are compared
over a fixed span (COMPARE_FROM, COMPARE_UNTIL), not from the current date.
British Columbia, Alberta, Manitoba and the Northwest Territories do not set
their clocks back in November 2026 (rules 2026f). The program may have older
rules, so a zone with the same offsets since then stands beside each (CHANGED).
"""
import csv
import datetime
import importlib.resources
import pathlib
import sys
import zoneinfo

import phonenumbers
import tzdata
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

HERE = pathlib.Path(__file__).parent
COMPARE_FROM = datetime.datetime(2026, 11, 29, tzinfo=datetime.timezone.utc)
COMPARE_UNTIL = datetime.datetime(2028, 12, 31, tzinfo=datetime.timezone.utc)

# --- Regions -----------------------------------------------------------------

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA",
    "Colorado": "CO", "Connecticut": "CT", "Delaware": "DE", "Florida": "FL", "Georgia": "GA",
    "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA",
    "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA", "Maine": "ME", "Maryland": "MD",
    "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN", "Mississippi": "MS",
    "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH",
    "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC",
    "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN",
    "Texas": "TX", "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington State": "WA",
    "Washington D.C.": "DC", "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}
PROVINCES = {
    "Alberta": "AB", "British Columbia": "BC", "British Colombia": "BC", "Manitoba": "MB",
    "New Brunswick": "NB", "Newfoundland and Labrador": "NL", "Nova Scotia": "NS",
    "Northwest Territories": "NT", "Nunavut": "NU", "Ontario": "ON",
    "Prince Edward Island": "PE", "Quebec": "QC", "Saskatchewan": "SK", "Yukon": "YT",
}
# Codes without a place name in the source.
REGION_BY_HAND = {"203": "US-CT", "310": "US-CA", "713": "US-TX", "718": "US-NY", "905": "CA-ON"}
# Territories of the US have a code of ISO 3166-2:US and are under its federal law.
US_TERRITORIES = {"PR", "VI", "GU", "AS", "MP"}

# --- Corrections -------------------------------------------------------------

# Overlays serve the area of their parent; the source gives them one zone only.
# 729 is from RECENT; 273, 474 and 639 are not among the facts, but serve the same areas.
OVERLAYS = {
    "364": "270", "448": "850", "458": "541", "930": "812", "986": "208", "879": "709",
    "236": "250", "257": "250", "672": "250", "778": "250",
    "367": "418", "581": "418", "273": "418",
    "729": "423", "474": "306", "639": "306",
}
# Whole zone sets that replace what the source says.
REPLACED = {
    # Malheur county keeps the time of Boise.
    "541": "America/Boise America/Los_Angeles",
    # Orlando is in the Eastern zone; the source says Chicago.
    "689": "America/New_York",
    # The source marks one Alaskan prefix (Unalaska) as Honolulu, which has no DST.
    "907": "America/Adak America/Anchorage America/Juneau",
    # Labrador has Atlantic time with DST; the source says Puerto Rico for the overlay 879.
    "709": "America/Halifax America/St_Johns",
    # South Dakota has no part of the zone North_Dakota/Center.
    "605": "America/Chicago America/Denver",
    # The lower north shore of the Saint Lawrence has Atlantic time without DST.
    "418": "America/Blanc-Sablon America/Halifax America/Toronto",
    # East Kootenay keeps the time of Alberta; the north-east and Creston have had UTC-7
    # all the year for longer than the rest of the province.
    "250": "America/Creston America/Edmonton America/Fort_Nelson America/Vancouver",
    # Atikokan and parts around it have Eastern standard time all the year.
    "807": "America/Atikokan America/Toronto America/Winnipeg",
    # Lloydminster keeps the time of Alberta. The source says Winnipeg for 474, which no
    # longer has the same offset.
    "306": "America/Edmonton America/Regina",
    # Three territories. The source uses zones of the provinces; their rules changed in 2026
    # while Nunavut keeps DST.
    "867": "America/Atikokan America/Cambridge_Bay America/Edmonton America/Inuvik "
           "America/Iqaluit America/Rankin_Inlet America/Resolute America/Whitehorse",
}
# Overlays in service, or assigned for 2026, that the source lacks: code -> parent.
# 357, 457, 465, 679 and 729: announcements of the state commissions. The others: general
# knowledge, not re-checked; each is inside one zone and one state in any case.
RECENT = {
    "357": "559", "436": "440", "457": "318", "465": "718", "471": "662", "483": "334",
    "565": "912", "621": "713", "624": "716", "679": "313", "729": "423", "837": "530",
    "861": "309", "924": "507",
}
# No place: toll-free, personal and machine numbers, Canada's special services, interexchange
# carriers, government, premium rate.
NON_GEOGRAPHIC = (
    "800 822 833 844 855 866 877 888 "
    "500 521 522 523 524 525 526 527 528 529 532 533 544 566 577 588 "
    "600 622 633 700 710 900"
).split()

# The codes of the facts that must have more than one offset.
MULTI_OFFSET = (
    "208 986 219 574 812 250 867 270 606 308 418 423 541 605 620 785 701 709 879 775 807 850 "
    "906 907 928 364 448 458 930 236 257 672 778 367 581"
).split()


def rules_text(name):
    """Return the text of one file of the packed time zone database."""
    return (importlib.resources.files("tzdata") / "zoneinfo" / name).read_text("utf-8")


def zones_by_country():
    """Map each ISO country code to its zones, in the order of zone.tab."""
    found = {}
    for line in rules_text("zone.tab").splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, []).append(zone)
    return found


def offsets(zone):
    """Return the UTC offsets of a zone over the span of comparison, every six hours."""
    info, at, seen = zoneinfo.ZoneInfo(zone), COMPARE_FROM, []
    while at < COMPARE_UNTIL:
        seen.append(at.astimezone(info).utcoffset())
        at += datetime.timedelta(hours=6)
    return tuple(seen)


def region_of(code):
    """Return the ISO code or codes of the area, separated by blanks."""
    if code in REGION_BY_HAND:
        return REGION_BY_HAND[code]
    for country in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]:
        leading = phonenumbers.PhoneMetadata.metadata_for_region(country).leading_digits or ""
        # Only Jamaica, Puerto Rico and the Dominican Republic have several codes.
        if code in leading.split("|") or (country == "DO" and code in ("809", "829", "849")):
            return f"US-{country}" if country in US_TERRITORIES else country
    name = GEOCODE_DATA["1" + code]["en"]
    if ", " in name:
        short = name.rsplit(", ", 1)[1]
        return ("US-" if short in STATES.values() else "CA-") + short
    if name in STATES:
        return "US-" + STATES[name]
    return " ".join(sorted("CA-" + PROVINCES[part] for part in name.split("/")))


def nanp():
    """Return {code: (regions, zones)} for every area code."""
    zones = {}
    for prefix, names in TIMEZONE_DATA.items():
        if prefix.startswith("1") and len(prefix) >= 4:
            zones.setdefault(prefix[1:4], set()).update(names)
    for prefix in GEOCODE_DATA:
        if prefix.startswith("1") and len(prefix) >= 4 and prefix[1:4] not in zones:
            sys.exit(f"area code {prefix[1:4]} has a place but no zone in the source")
    table = {code: (region_of(code), set(names)) for code, names in zones.items()}
    for code, names in REPLACED.items():
        table[code] = (table[code][0], set(names.split()))
    for code, parent in RECENT.items():
        if code in table:
            sys.exit(f"area code {code} is in the source now: remove it from RECENT")
        table[code] = table[parent]
    for code, parent in OVERLAYS.items():
        table[code] = (table[code][0], set(table[parent][1]))
    for code in NON_GEOGRAPHIC:
        table[code] = ("", set())
    return table


def countries():
    """Return {country: zones}, one zone for each distinct set of offsets."""
    found = zones_by_country()
    # Regions of the numbering plan without a country code of ISO 3166.
    found |= {"AC": ["Atlantic/St_Helena"], "TA": ["Atlantic/St_Helena"], "XK": ["Europe/Belgrade"]}
    missing = set(phonenumbers.SUPPORTED_REGIONS) - set(found)
    if missing:
        sys.exit(f"no zone for {sorted(missing)}")
    table = {}
    for country, names in found.items():
        distinct = {}
        for zone in names:
            distinct.setdefault(offsets(zone), zone)
        table[country] = list(distinct.values())
    return table


def check(table):
    """Stop with a message if a table breaks a rule that a reader depends on."""
    known = {zone for names in zones_by_country().values() for zone in names}
    for code, (region, zones) in table.items():
        assert len(code) == 3 and code[0] in "23456789", code
        assert bool(region) == bool(zones), code
        assert zones <= known, (code, zones - known)
    for code in MULTI_OFFSET:
        assert len({offsets(zone) for zone in table[code][1]}) > 1, f"{code} has one offset"


# Zones with changed rules, each with a zone that has had their new offsets before.
CHANGED = {
    "America/Vancouver": "America/Fort_Nelson",
    "America/Edmonton": "America/Regina",
    "America/Inuvik": "America/Regina",
    "America/Winnipeg": "America/Atikokan",
}


def with_new_offsets(zones):
    """Add the zones with the new offsets."""
    return set(zones) | {CHANGED[zone] for zone in zones if zone in CHANGED}


def write(name, header, rows):
    """Write a table with LF line ends."""
    with open(HERE / name, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def main():
    zoneinfo.reset_tzpath(to=[])  # Use the pinned package, never the machine's own files.
    print(f"phonenumbers {phonenumbers.__version__}, time zone rules {tzdata.IANA_VERSION}")
    table = nanp()
    check(table)
    write("nanp.csv", ["area_code", "region", "zones"],
          [[code, region, " ".join(sorted(with_new_offsets(zones)))] for code, (region, zones) in sorted(table.items())])
    write("countries.csv", ["country", "zones"],
          [[country, " ".join(sorted(with_new_offsets(zones)))] for country, zones in sorted(countries().items())])


if __name__ == "__main__":
    main()
