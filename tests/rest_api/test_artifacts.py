"""Artifacts over HTTP: ranges, validators, names that harm nobody."""

import os

import httpx
import pytest

from tests.rest_api.workbench import OTHER, Workbench

TEN = b"0123456789"


async def content(bench: Workbench, data: bytes, **headers: str) -> httpx.Response:
    ref = await bench.kept(data)
    return await bench.client.get(f"/v1/artifacts/{ref.digest}/content", headers=headers)


async def test_an_artifact_is_described(bench: Workbench) -> None:
    ref = await bench.kept(TEN)

    answer = await bench.client.get(f"/v1/artifacts/{ref.digest}")

    assert answer.json()["artifact"] == {
        "digest": ref.digest,
        "name": "notes.txt",
        "media_type": "text/plain",
        "size_bytes": 10,
    }
    assert answer.json()["create_time"].endswith("Z")


async def test_all_bytes_come_with_headers_that_keep_them_and_keep_them_harmless(bench: Workbench) -> None:
    answer = await content(bench, TEN)

    assert (answer.status_code, answer.content) == (200, TEN)
    headers = answer.headers
    assert headers["content-length"] == "10"
    assert headers["content-type"] == "text/plain"
    assert headers["etag"].startswith('"sha256:')
    assert "immutable" in headers["cache-control"]
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith('attachment; filename="notes.txt"')
    assert "content-range" not in headers


@pytest.mark.parametrize(
    ("wanted", "status", "data", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=0-", 206, TEN, "bytes 0-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, TEN, "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=999999999999999999-", 416, None, "bytes */10"),
        ("bytes=3-1", 200, TEN, None),
        ("bytes=-", 200, TEN, None),
        ("bytes=a-b", 200, TEN, None),
        ("bytes=0-1,3-4", 200, TEN, None),
        ("lines=0-1", 200, TEN, None),
        ("bytes=0-3; x", 200, TEN, None),
    ],
)
async def test_a_range_is_answered_as_the_standard_says(
    bench: Workbench, wanted: str, status: int, data: bytes | None, told: str | None
) -> None:
    answer = await content(bench, TEN, range=wanted)

    assert answer.status_code == status
    assert answer.headers.get("content-range") == told
    if data is None:
        assert answer.json()["reason"] == "RANGE_NOT_SATISFIABLE"
    else:
        assert answer.content == data


async def test_a_range_of_other_bytes_is_not_given(bench: Workbench) -> None:
    ref = await bench.kept(TEN)
    path = f"/v1/artifacts/{ref.digest}/content"

    same = await bench.client.get(path, headers={"range": "bytes=0-1", "if-range": f'"{ref.digest}"'})
    other = await bench.client.get(path, headers={"range": "bytes=0-1", "if-range": '"other"'})

    assert (same.status_code, other.status_code) == (206, 200)


async def test_what_a_client_has_is_not_sent_again(bench: Workbench) -> None:
    ref = await bench.kept(TEN)

    answer = await bench.client.get(
        f"/v1/artifacts/{ref.digest}/content", headers={"if-none-match": f'"{ref.digest}"'}
    )

    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 3 * 256 * 1024 + 17])
async def test_bytes_of_every_size_come_whole(bench: Workbench, size: int) -> None:
    data = os.urandom(size)

    answer = await content(bench, data)
    tail = await content(bench, data, range=f"bytes={size // 2}-")

    assert answer.content == data
    assert answer.headers["content-length"] == str(size)
    assert tail.status_code == (206 if size else 416)
    assert tail.content == data[size // 2 :] or not size


async def test_head_tells_size_and_type_only(bench: Workbench) -> None:
    ref = await bench.kept(TEN)

    answer = await bench.client.head(f"/v1/artifacts/{ref.digest}/content")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "10")


@pytest.mark.parametrize(
    ("name", "plain", "full"),
    [
        ("a\r\nSet-Cookie: x.txt", "a__Set-Cookie_ x.txt", "a%0D%0ASet-Cookie%3A%20x.txt"),
        ('quo"te.txt', "quo_te.txt", "quo%22te.txt"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("schön.txt", "sch_n.txt", "sch%C3%B6n.txt"),
        ("dir/", "artifact", "artifact"),
    ],
)
async def test_a_name_cannot_break_out_of_its_header(
    bench: Workbench, name: str, plain: str, full: str
) -> None:
    ref = await bench.kept(TEN, name=name, media_type="text/html\r\nX: y")

    answer = await bench.client.get(f"/v1/artifacts/{ref.digest}/content")

    expected = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"
    assert answer.headers["content-disposition"] == expected
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "set-cookie" not in answer.headers


async def test_a_foreign_artifact_reads_as_not_found(bench: Workbench) -> None:
    ref = await bench.kept(TEN)

    for path in (f"/v1/artifacts/{ref.digest}", f"/v1/artifacts/{ref.digest}/content"):
        assert (await bench.client.get(path, headers=OTHER)).status_code == 404
