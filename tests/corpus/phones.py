#!/usr/bin/env python3
"""Writes phones.txt: how people spell phone numbers of every region, and what they mean by Python's `phonenumbers`.

    pip install phonenumbers==9.0.42    # the metadata of the Rust library in Cargo.lock
    python3 tests/corpus/phones.py > tests/corpus/phones.txt

Each line that begins with `=` opens a group: the E.164 form, with `;ext=` where there is one, or nothing where no number is
to be read. Each line in the group is a region, a tab, and a spelling that is read there. The rule: a spelling that says
its country (plus sign or international prefix) must be possible; any other must be valid in the region.
"""

import sys

import phonenumbers
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumberFormat as Format, PhoneNumberType

VERSION = "9.0.42"
ABROAD = {"US": "011", "GB": "00", "AU": "0011", "JP": "010"}
FULL_WIDTH = str.maketrans("0123456789-", "０１２３４５６７８９ー")


def examples():
    """(number, a region in which it is at home)"""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield number, region
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        if number is not None:
            yield number, "US"


def spellings(number, region):
    """(text, region in which it is read)"""
    as_format = lambda form: phonenumbers.format_number(number, form)
    e164, international = as_format(Format.E164), as_format(Format.INTERNATIONAL)
    national, rfc3966 = as_format(Format.NATIONAL), as_format(Format.RFC3966)
    code, own = str(number.country_code), phonenumbers.national_significant_number(number)
    dialled = "".join(c for c in national if c.isdigit())
    in_pairs = " ".join(dialled[i:i + 2] for i in range(0, len(dialled), 2))
    elsewhere = "DE" if region != "DE" else "FR"
    for text in (e164, international, rfc3966):
        yield text, region
        yield text, elsewhere
    for text in (
        national, dialled, own, in_pairs,
        ".".join(national.split()), "-".join(national.split()), national.replace(" ", "/", 1),
        national.replace(" ", "\u00a0"), national.replace("-", "\u2011"), national.translate(FULL_WIDTH),
        national.replace(" ", "\u2009"), "(" + dialled[:3] + ") " + dialled[3:],
        code + own, code + " " + own, "+" + code + "(0)" + own, "+" + code + " (0) " + own,
        "+" + code + own[:2] + "-" + own[2:], "+" + code + " " + " ".join(own), " " + national + " ",
        international.replace(" ", "."), international.replace("+", "＋"), "+" + code + "-" + own + " ",
        national + " ext. 123", national + " x4567", national + " #12", international + " ext 9",
        rfc3966 + ";ext=42", "Tel. " + national, national + " (home)", national + "/" + national[-1:],
        own[:-1], own + "0",
    ):
        yield text, region
    for abroad, prefix in ABROAD.items():
        yield prefix + code + own, abroad
        yield prefix + " " + code + " " + own, abroad
    for abroad in ("US", "GB", elsewhere):
        yield dialled, abroad


def extra():
    for text in (
        "1-800-FLOWERS", "1 (800) GO-FEDEX", "5551212", "911", "n/a", "none", "-", "+", "000-0000", "0", "a@b.example",
        "4.15556E+09", "4155551212.0", "+1 415 555 1212 / +1 415 555 1313", "011 15-2345-6789", "+54 9 11 2345 6789",
        "06 1234 5678", "8 (495) 123-45-67", "044 55 1234 5678", "0044 20 7946 0958", "+4930123456-78", "+0049 30 1234",
    ):
        for region in ("US", "DE", "GB", "IT", "RU", "MX", "AR"):
            yield text, region


def meaning(text, region):
    try:
        number = phonenumbers.parse(text, region, keep_raw_input=True)
    except NumberParseException:
        return ""
    says_its_country = number.country_code_source in (
        CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN, CountryCodeSource.FROM_NUMBER_WITH_IDD)
    read = phonenumbers.is_possible_number if says_its_country else phonenumbers.is_valid_number
    if not read(number):
        return ""
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, Format.E164) + extension


def main():
    if phonenumbers.__version__ != VERSION:
        sys.exit(f"phonenumbers {VERSION} is needed, not {phonenumbers.__version__}")
    groups, seen = {}, set()
    every = ((text, place) for number, region in examples() for text, place in spellings(number, region))
    for text, region in list(every) + list(extra()):
        if (text, region) not in seen:
            seen.add((text, region))
            groups.setdefault(meaning(text, region), []).append((region, text))
    for result in sorted(groups):
        print("=" + result)
        for region, text in groups[result]:
            print(f"{region}\t{text}")


main()
