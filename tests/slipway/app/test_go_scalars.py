"""The table was made by piped's own libraries: go-yaml 2.4.2 below sigs.k8s.io/yaml 1.5.0, read into a text."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.go_scalars import as_text, resolve


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("12:30", "12:30"),
        ("23:59:59", "23:59:59"),
        ("190:20:30", "190:20:30"),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("000123456789", "1.2345679e+08"),
        ("1e-4", "0.0001"),
        ("1e-7", "1e-07"),
        ("1e21", "1e+21"),
        ("1e400", "1e400"),
        ("3.5e38", "+Inf"),
        ("100000000.0", "1e+08"),
        ("123456.789", "123456.79"),
        ("999999.5", "999999.5"),
        ("-0", "0"),
        ("-0.0", "-0"),
        ("0777", "511"),
        ("-0777", "-511"),
        ("0o17", "15"),
        ("08", "8"),
        ("0x1F", "31"),
        ("0x", "0x"),
        ("0b11", "3"),
        ("0b2", "0b2"),
        ("1_000", "1000"),
        ("1__0", "10"),
        ("_1", "_1"),
        (".5_0", "0.5"),
        ("._5", "._5"),
        ("+12", "12"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744e+19"),
        ("-9223372036854775809", "-9.223372e+18"),
        ("123456789012345678901234567890", "1.2345679e+29"),
        (".inf", "+Inf"),
        ("-.INF", "-Inf"),
        (".nan", "NaN"),
        ("NaN", "NaN"),
        ("y", "true"),
        ("Y", "true"),
        ("off", "false"),
        ("yEs", "yEs"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("v1.0", "v1.0"),
        ("~", ""),
    ],
)
def test_given_a_plain_scalar_when_piped_wants_text_then_this_is_what_it_reads(written: str, text: str) -> None:
    assert as_text(resolve(written)) == text


@given(st.integers(min_value=-(2**63), max_value=2**64 - 1))
def test_given_any_whole_number_of_64_bits_when_it_is_read_then_its_text_stays(number: int) -> None:
    assert as_text(resolve(str(number))) == str(number)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_given_any_32_bit_number_when_its_text_is_read_again_then_it_is_the_same_number(number: float) -> None:
    text = as_text(number)
    assert struct.pack("f", float(text)) == struct.pack("f", number)


@given(st.text(alphabet="0123456789_.eE+-xXoObBaf:TZyYnN~", max_size=12))
def test_given_any_text_when_it_is_read_as_a_scalar_then_there_is_a_text(written: str) -> None:
    assert isinstance(as_text(resolve(written)), str)
