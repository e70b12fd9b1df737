"""What wearables stream is read exactly or refused with a reason."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gatt import alert_notification, immediate_alert, infinitime, microbit, motion, movesense, polar, thingy
from devices.gatt.acceleration import Samples
from devices.gatt.errors import DecodeError
from devices.gatt.movesense import Acceleration, Code, Command, Hello
from devices.gatt.polar import Answer, Op, Outcome, Setting, Stopped

# The frames of polarofficial/polar-ble-sdk, sources/iOS/ios-communications/Tests/iOSCommunicationsTests/ and
# sources/Android/android-communications/library/src/test/java/com/polar/androidcommunications/api/ble/model/gatt/
# client/pmd/: AccDataTest, BlePmdClientControlPointResponseTest, PmdSettingTest.
POLAR_HEADER = "02 0094357700000000"
POLAR_RAW = f"""{POLAR_HEADER} 01 F7FFFFFFE703 F8FFFEFFE503 F9FFFFFFE503 FAFFFFFFE603 FAFFFEFFE603 F9FFFFFFE503
F8FFFFFFE603 F8FFFEFFE603 FAFFFFFFE503 FAFFFFFFE703 FAFFFFFFE503 F8FFFFFFE603 F7FFFFFFE603 F8FFFEFFE603 F9FFFEFFE703
F9FF0000E603 F9FFFFFFE603 F7FFFEFFE503 F9FFFFFFE503 F9FFFFFFE503 FAFF0000E603 F9FFFEFFE603 F8FFFFFFE603 F8FFFFFFE503
F9FFFFFFE603 F9FFFFFFE503 FAFFFFFFE603 F9FFFFFFE503 F9FFFFFFE503 F8FFFEFFE603 F9FFFFFFE603 F9FFFFFFE603 F9FF0000E503
F9FFFEFFE603 F8FFFEFFE603 F7FFFEFFE603"""
POLAR_COMPRESSED_G = f"""{POLAR_HEADER} 80 7107F06A9E8D0A38BE5CBEBA2F96B3EE4BE5ADFB42B9EBBE4CFEBA2F92BFEE4BE4B1FB12B9ECBD3C3EBB
2F8FD3DE4BE3B5F7D2B8EDBD307E7B2F8BE3CE8BE2BAF7A2B8EEBC20BE7B2F88F3CECBE1BDEF52F8EFBC18FE3B2F8403BFCBE0C2EF32B8F0BB04
4EBC2E8113AF0BE0C6EFF2F7F1B9FC7DBC2E7D279F4BDFCAEBC2F7F2B8ECCD7C2E7B378F4BDECEE392F7F3B8E00DFD2D774B7FCBDDD2DF6237F5
B7D44DBD2D745B6FCBDCD7D73237F6B5C88D7D2D716B4F4BDCDCD3F236F7B4BCDDFD2C6F7B3F4BDBE0CFD236F8B2B02DBE2C6C8F1FCBDAE3C7A2
76F9"""
POLAR_COMPRESSED_MG = "02 6600000000000000 81 F1FF1400F003 06017B0F08"
# sokolmarek/movesense-commander src/lib/gsp/layouts.hardware.test.ts: IMU9 at 52 Hz from a resting Movesense Flash;
# its time and its first block, which is acceleration, are what /Meas/Acc sends.
MOVESENSE_ACCELERATION = """159e0100 5c6e61bd56d29cbd8c2a1dc1 ee54e6bdccd5febc8c2a1dc1 c987dcbd310513bd273e1dc1
ccd5febdec0644bdf7a91dc1"""


def packets(samples: int = 40) -> st.SearchStrategy[Samples]:
    """Samples in whole mg within ±8 g."""
    row = st.tuples(*[st.integers(-8000, 8000)] * 3)
    return st.lists(row, min_size=1, max_size=samples).map(lambda rows: np.array(rows) / 1000.0)


def test_a_raw_frame_of_polar_is_read_as_its_own_library_reads_it() -> None:
    frame = polar.decode(bytes.fromhex(POLAR_RAW))
    assert frame.last_ns == 2_000_000_000
    assert frame.samples.shape == (36, 3)
    assert np.rint(frame.samples[:2] * 1000).tolist() == [[-9, -1, 999], [-8, -2, 997]]


def test_a_compressed_frame_counts_in_factors_of_g() -> None:
    factor = 2.44e-4  # without it the numbers would be thousands of g
    frame = polar.decode(bytes.fromhex(POLAR_COMPRESSED_G), factor)
    assert frame.samples.shape == (57, 3)
    counts = np.rint(frame.samples / factor).astype(int)
    assert counts[0].tolist() == [1905, 27376, -29282]
    assert counts[1].tolist() == [1905 + 190, 27376 - 105, -29282 - 85]
    assert np.abs(frame.samples).max() <= 8


def test_a_compressed_frame_of_type_1_counts_in_mg() -> None:
    frame = polar.decode(bytes.fromhex(POLAR_COMPRESSED_MG))
    assert frame.last_ns == 102
    assert np.rint(frame.samples * 1000).tolist() == [[-15, 20, 1008], [-20, 17, 1008]]


@given(packets(300), st.integers(0, 2**64 - 1), st.sampled_from([1, 2]))
def test_every_raw_frame_of_polar_is_read_as_it_was_written(samples: Samples, last_ns: int, kind: int) -> None:
    frame = polar.decode(polar.encode_raw(last_ns, samples, kind))
    assert frame.last_ns == last_ns
    assert np.allclose(frame.samples, samples)


@given(packets(300), st.integers(0, 2**64 - 1), st.sampled_from([(0, 0.001), (0, 2.5e-4), (1, 1.0), (1, 0.5)]))
def test_every_compressed_frame_of_polar_is_read_as_it_was_written(
    samples: Samples, last_ns: int, kind: tuple[int, float]
) -> None:
    frame = polar.decode(polar.encode_compressed(last_ns, samples, *kind), kind[1])
    assert frame.last_ns == last_ns
    assert np.allclose(frame.samples, samples)


def test_eight_bits_hold_an_eighth_of_a_g() -> None:
    samples = np.array([[0.127, -0.128, 0.0], [1.0, -1.0, 0.05]])
    assert np.rint(polar.decode(polar.encode_raw(1, samples, 0)).samples * 1000).tolist() == [
        [127, -128, 0],
        [127, -128, 50],
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("00 0094357700000000 01 F7FFFFFFE703", "reserved_value"),  # an electrocardiogram
        ("02 0094357700000000 03 F7FFFFFFE703", "reserved_value"),
        ("02 0094357700000000 82 F1FF1400F003", "reserved_value"),
        ("02 00943577000000", "truncated"),
        ("02 0094357700000000 02 000000000000ffff7f", "implausible"),
        ("02 0094357700000000 01", "bad_length"),
        ("02 0094357700000000 01 F7FFFFFFE7", "bad_length"),
        ("02 6600000000000000 81 F1FF1400", "truncated"),
        ("02 6600000000000000 81 F1FF1400F003 06", "truncated"),
        ("02 6600000000000000 81 F1FF1400F003 06 02 7B0F08", "truncated"),
        ("02 6600000000000000 81 F1FF1400F003 00 02 7B0F08", "implausible"),
        ("02 6600000000000000 81 F1FF1400F003 21 01 000000000000000000000000000000", "implausible"),
    ],
)
def test_a_frame_of_polar_that_is_none_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        polar.decode(bytes.fromhex(raw))
    assert refused.value.reason == reason


def test_what_polar_offers_is_read_from_its_answer() -> None:
    settings = polar.decode_settings(bytes.fromhex("0001 3400 0101 1000 0204 F500 F401 E803 D007 0401 03"))
    assert settings == {
        Setting.SAMPLE_RATE: (52,),
        Setting.RESOLUTION: (16,),
        Setting.RANGE: (245, 500, 1000, 2000),
        Setting.CHANNELS: (3,),
    }


def test_answers_of_polar_say_what_was_asked_and_how_it_ended() -> None:
    assert polar.decode_answer(bytes.fromhex("F0 01 02 00 00 FF FF FF")) == Answer(
        Op.SETTINGS, 2, Outcome.SUCCESS, more=False, parameters=b"\xff\xff\xff"
    )
    assert polar.decode_answer(bytes.fromhex("F0 01 06 07 00")) == Answer(Op.SETTINGS, 6, Outcome.INVALID_RESOLUTION)
    assert polar.decode_answer(bytes.fromhex("F0 02 02 06")) == Answer(Op.START, 2, Outcome.ALREADY_IN_STATE)
    assert polar.decode_answer(bytes.fromhex("01 02")) == Stopped((2,))
    for raw in ("", "F0", "F0 02 02", "F0 02 02 63", "F0 63 02 00", "63 02"):
        with pytest.raises(DecodeError):
            polar.decode_answer(bytes.fromhex(raw))


def test_an_h10_is_started_as_others_start_it() -> None:
    """The command that a dozen public programs send: 200 Hz, 16 bits, 8 g."""
    settings = {Setting.SAMPLE_RATE: (200,), Setting.RESOLUTION: (16,), Setting.RANGE: (8,)}
    assert polar.encode_request(polar.Request(Op.START, settings=settings)) == bytes.fromhex(
        "0202 0001 C800 0101 1000 0201 0800"
    )


@pytest.mark.parametrize(("bits", "value"), [("40da7f39", 2.44e-4), ("0000c07f", 1.0), ("000000bf", 1.0), ("", 1.0)])
def test_a_factor_is_a_number_above_nought_or_one(bits: str, value: float) -> None:
    settings = {Setting.FACTOR: (int.from_bytes(bytes.fromhex(bits), "little"),)} if bits else {}
    assert polar.factor(settings) == pytest.approx(value, rel=1e-4)


def test_a_resting_movesense_measures_one_g() -> None:
    packet = movesense.decode_acceleration(bytes.fromhex(MOVESENSE_ACCELERATION))
    assert packet.at_ms == 106_005
    assert packet.samples.shape == (4, 3)
    assert np.linalg.norm(packet.samples, axis=1) == pytest.approx([1.0] * 4, abs=0.01)


def test_a_movesense_says_who_it_is() -> None:
    hello = Hello("174630000192", "Movesense Flash", "gatt_sensordata_app 2.3.1")
    assert movesense.decode_hello(movesense.encode_hello(hello, "0C:8C:DC:00:00:01")) == hello
    with pytest.raises(DecodeError, match="version of the application"):
        movesense.decode_hello(b"\x01174630000192\0Movesense Flash\0")


def test_a_movesense_is_asked_with_a_path_that_ends() -> None:
    request = movesense.Request(Command.SUBSCRIBE, 3, "/Meas/Acc/52")
    assert movesense.encode_request(request) == b"\x01\x03/Meas/Acc/52\0"
    assert movesense.decode_request(b"\x01\x03/Meas/Acc/52") == request
    assert movesense.decode_status(b"\xc8\0") == 200
    assert movesense.decode(b"\x02\x03abc") == movesense.Response(Code.DATA, 3, b"abc")


@given(packets(), st.integers(0, 2**32 - 1))
def test_every_packet_of_a_movesense_is_read_as_it_was_written(samples: Samples, at_ms: int) -> None:
    packet = movesense.decode_acceleration(movesense.encode_acceleration(Acceleration(at_ms, samples)))
    assert packet.at_ms == at_ms
    assert np.allclose(packet.samples, samples, atol=1e-6)


@given(packets(), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1))
def test_every_packet_of_our_own_wearable_is_read_as_it_was_written(
    samples: Samples, sequence: int, at_ms: int
) -> None:
    packet = motion.decode(motion.encode(motion.Motion(sequence, at_ms, samples)))
    assert (packet.sequence, packet.at_ms) == (sequence, at_ms)
    assert np.allclose(packet.samples, samples)


@given(packets())
def test_samples_of_devices_without_a_clock_are_read_as_they_were_written(samples: Samples) -> None:
    assert np.allclose(infinitime.decode(infinitime.encode(samples)), samples, atol=1 / 2048)
    assert np.allclose(microbit.decode(microbit.encode(samples[:1])), samples[:1])
    assert np.allclose(thingy.decode(thingy.encode(samples[:1])), samples[:1], atol=1 / 2048)


def test_what_wearables_count_in() -> None:
    assert infinitime.decode(bytes.fromhex("0004 00fc 0000")).tolist() == [[1.0, -1.0, 0.0]]
    assert microbit.decode(bytes.fromhex("e803 18fc 0000")).tolist() == [[1.0, -1.0, 0.0]]
    assert thingy.decode(bytes.fromhex("0004 00fc 0000" + 12 * "55")).tolist() == [[1.0, -1.0, 0.0]]


def test_what_a_wearable_is_told_is_read_as_it_was_meant() -> None:
    assert [immediate_alert.decode(immediate_alert.encode(level)) for level in immediate_alert.Level] == [0, 1, 2]
    assert alert_notification.encode("Did you fall?") == b"\x00\x01\x00Did you fall?"
    assert alert_notification.decode(alert_notification.encode("a" * 200)) == "a" * 100


@given(st.integers(1, 0xFFFF))
def test_every_period_and_configuration_is_read_as_it_was_written(number: int) -> None:
    assert microbit.decode_period(microbit.encode_period(number)) == number
    configuration = thingy.Configuration(steps_ms=number, motion_hz=5 + number % 196)
    assert thingy.decode_configuration(thingy.encode_configuration(configuration)) == configuration


@pytest.mark.parametrize(
    ("decode", "raw", "reason"),
    [
        (infinitime.decode, "", "bad_length"),
        (infinitime.decode, "0004 00fc 00", "bad_length"),
        (microbit.decode, "e803 18fc 0000 e803 18fc 0000", "bad_length"),
        (microbit.decode_period, "0000", "implausible"),
        (microbit.decode_period, "14", "bad_length"),
        (thingy.decode, "0004 00fc 0000", "bad_length"),
        (thingy.decode_configuration, "e803 f401 f401 0000 01", "implausible"),
        (motion.decode, "0000 00000000", "bad_length"),
        (motion.decode, "0000", "bad_length"),
        (immediate_alert.decode, "03", "reserved_value"),
        (immediate_alert.decode, "", "truncated"),
        (alert_notification.decode, "030100 48", "reserved_value"),
        (alert_notification.decode, "000100 48fe", "reserved_value"),
        (movesense.decode, "0403", "reserved_value"),
        (movesense.decode, "02", "truncated"),
        (movesense.decode_acceleration, "159e0100", "bad_length"),
        (movesense.decode_acceleration, "159e0100 0000c07f 00000000 00000000", "no_value"),
        (movesense.decode_range, "", "bad_length"),
        (movesense.decode_request, "01 03 ff", "implausible"),
    ],
)
def test_what_is_no_packet_is_refused(decode: Any, raw: str, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(bytes.fromhex(raw))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "decode",
    [
        *(polar.decode, polar.decode_answer, polar.decode_request, polar.decode_settings),
        *(movesense.decode, movesense.decode_acceleration, movesense.decode_hello, movesense.decode_request),
        *(microbit.decode, microbit.decode_period, thingy.decode, thingy.decode_configuration),
        *(infinitime.decode, motion.decode, motion.decode_presses),
        *(immediate_alert.decode, alert_notification.decode),
    ],
    ids=lambda decode: f"{decode.__module__.rpartition('.')[2]}.{decode.__name__}",
)
@given(raw=st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda b: b"\x02" + bytes(8) + b"\x81" + b)))
def test_any_bytes_are_a_value_or_a_named_refusal(decode: Any, raw: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(raw)
