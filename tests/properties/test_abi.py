"""Records of the guest: whatever bytes come, a record or MalformedRecord comes out."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dotnet_wasm_host import abi

#: Text as the guest encodes it.
text = st.text(max_size=30)
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)

#: Bytes that are almost a record: numbers, small lengths, text.
plausible = st.lists(
    st.binary(max_size=8)
    | st.integers(-2, 70).map(lambda n: struct.pack("<i", n))
    | text.map(lambda t: abi.pack_fields(t.encode())),
    max_size=20,
).map(b"".join)
records = st.binary(max_size=300) | plausible

#: .NET's ticks run from year 1 to year 9999.
LAST_TICK = 3_155_378_975_999_999_999


def encoded(chain: list[tuple[str, str, str]]) -> bytes:
    """What the guest writes for exceptions, outermost first."""
    fields: list[bytes | int] = [len(chain)]
    for link in chain:
        fields += [part.encode() for part in link]
    return abi.pack_fields(*fields)


# ---------------------------------------------------------------- arbitrary bytes


@given(record=records)
@example(record=b"")
@example(record=b"\xff\xff\xff\xff")
@example(record=struct.pack("<i", 1))
@example(record=struct.pack("<ii", 1, 2**31 - 1))
@example(record=struct.pack("<ii", 1, -1))
@example(record=struct.pack("<i", 2**31 - 1) + bytes(1000))
def test_an_error_is_decoded_or_refused(record: bytes) -> None:
    try:
        error = abi.decode_error(record)
    except abi.MalformedRecord as malformed:
        assert str(malformed)
    else:
        depth = 0
        link: abi.RemoteException | None = error
        while link is not None:
            assert isinstance(link.type_name, str)
            assert isinstance(link.message, str)
            assert isinstance(link.stack_trace, str)
            depth, link = depth + 1, link.inner
        assert depth == struct.unpack_from("<i", record)[0]


@given(handle=int32, record=records)
@example(handle=0, record=abi.pack_fields(b"T", b"A") + struct.pack("<q", 2**63 - 1))
@example(handle=0, record=abi.pack_fields(b"T", b"A") + struct.pack("<q", -(2**63)))
@example(handle=0, record=abi.pack_fields(b"T", b"A") + struct.pack("<q", LAST_TICK + 1))
@example(handle=0, record=abi.pack_fields(b"T", b"A") + struct.pack("<q", -1))
@example(handle=0, record=abi.pack_fields(b"T", b"A") + bytes(7))
def test_a_load_report_is_decoded_or_refused(handle: int, record: bytes) -> None:
    try:
        report = abi.LoadReport.decode(handle, record)
    except abi.MalformedRecord as malformed:
        assert str(malformed)
    else:
        assert report.handle == handle
        assert report.loaded_at.tzinfo is timezone.utc


@given(data=records, reads=st.lists(st.sampled_from(["byte", "int32", "int64", "bytes", "text"])))
def test_a_reader_never_reads_past_the_end(data: bytes, reads: list[str]) -> None:
    reader = abi.RecordReader(data)
    taken = 0
    for name in reads:
        try:
            value = getattr(reader, name)()
        except abi.MalformedRecord:
            break
        match value:
            case int():
                taken += {"byte": 1, "int32": 4, "int64": 8}[name]
            case bytes():
                taken += 4 + len(value)
        assert taken <= len(data)


# ---------------------------------------------------------------- round trips


@given(chain=st.lists(st.tuples(text, text, text), min_size=1, max_size=16))
def test_an_exception_chain_comes_back(chain: list[tuple[str, str, str]]) -> None:
    link: abi.RemoteException | None = abi.decode_error(encoded(chain))

    for type_name, message, stack_trace in chain:
        assert link is not None
        assert (link.type_name, link.message, link.stack_trace) == (
            type_name, message, stack_trace,
        )  # fmt: skip
        link = link.inner
    assert link is None


@given(chain=st.lists(st.tuples(text, text, text), min_size=1, max_size=3), cut=st.data())
def test_a_record_that_was_cut_off_is_refused(
    chain: list[tuple[str, str, str]], cut: st.DataObject
) -> None:
    record = encoded(chain)

    with pytest.raises(abi.MalformedRecord):
        abi.decode_error(record[: cut.draw(st.integers(0, len(record) - 1))])


@pytest.mark.parametrize("count", [0, -1, 65, 2**31 - 1])
def test_a_chain_of_no_length_or_an_absurd_one_is_refused(count: int) -> None:
    with pytest.raises(abi.MalformedRecord, match=str(count)):
        abi.decode_error(struct.pack("<i", count) + encoded([("T", "", "")])[4:] * 100)


@given(
    handle=int32,
    names=st.tuples(text, text),
    ticks=st.integers(0, LAST_TICK),
    is_async=st.booleans(),
)
@example(handle=1, names=("", ""), ticks=0, is_async=False)
@example(handle=1, names=("", ""), ticks=LAST_TICK, is_async=True)
def test_a_load_report_comes_back(
    handle: int, names: tuple[str, str], ticks: int, is_async: bool
) -> None:
    record = abi.pack_fields(*(n.encode() for n in names)) + struct.pack("<qi", ticks, is_async)

    report = abi.LoadReport.decode(handle, record)

    start = datetime(1, 1, 1, tzinfo=timezone.utc)
    assert (report.handler_type, report.assembly_name) == names
    assert report.loaded_at == start + timedelta(microseconds=ticks // 10)
    assert report.is_async is is_async


@given(fields=st.lists(int32 | st.binary(max_size=50), max_size=20))
def test_packed_fields_come_back(fields: list[int | bytes]) -> None:
    reader = abi.RecordReader(abi.pack_fields(*fields))

    for field in fields:
        assert (reader.int32() if isinstance(field, int) else reader.bytes()) == field
    with pytest.raises(abi.MalformedRecord):
        reader.byte()


@given(
    number=int64,
    content=st.binary(max_size=40),
)
def test_wide_numbers_and_bytes_come_back(number: int, content: bytes) -> None:
    reader = abi.RecordReader(struct.pack("<q", number) + content)

    assert reader.int64() == number
    assert bytes(reader.byte() for _ in content) == content


@given(content=st.binary(max_size=40))
def test_text_that_is_not_utf8_is_replaced_not_refused(content: bytes) -> None:
    reader = abi.RecordReader(abi.pack_fields(content))

    assert reader.text() == content.decode(errors="replace")


@given(
    name=text,
    handler=text,
    image=st.binary(max_size=50),
    dependencies=st.lists(st.tuples(text, st.binary(max_size=50)), max_size=5),
    symbols=st.lists(st.tuples(text, st.binary(max_size=50)), max_size=5),
)
def test_a_load_request_holds_everything_in_order(
    name: str,
    handler: str,
    image: bytes,
    dependencies: list[tuple[str, bytes]],
    symbols: list[tuple[str, bytes]],
) -> None:
    request = abi.pack_load(
        name.encode(), handler.encode(), image, iter(dependencies), iter(symbols)
    )

    reader = abi.RecordReader(request)
    assert (reader.text(), reader.text(), reader.bytes()) == (name, handler, image)
    assert [(reader.text(), reader.bytes()) for _ in range(reader.int32())] == dependencies
    assert [(reader.text(), reader.bytes()) for _ in range(reader.int32())] == symbols

    request = abi.pack_load_capability(name.encode(), image, iter(dependencies), iter(symbols))
    reader = abi.RecordReader(request)
    assert (reader.text(), reader.bytes()) == (name, image)
    assert [(reader.text(), reader.bytes()) for _ in range(reader.int32())] == dependencies
    assert [(reader.text(), reader.bytes()) for _ in range(reader.int32())] == symbols
