"""Pictures from the web, and squares cut out of them."""

from __future__ import annotations

import io
import random
import tracemalloc
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch.nn import functional
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as tv

from harness.data.pictures.decode import (
    CROP_TRIES,
    Box,
    Pixels,
    crop_and_resize,
    crop_views,
    decode,
    random_box,
    resize,
)
from harness.data.pictures.limits import (
    LARGE_PIXELS,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_RATIO,
    MAX_SCANS,
    BrokenImageError,
    refuse_scans,
    room,
)
from harness.errors import PluginError
from harness.values import Corner, View

# pytest resets the filter that harness.data.pictures.decode sets for Pillow's warnings.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL.Image")

GRADIENT = np.linspace(0, 255, 60 * 40 * 3).reshape(40, 60, 3).astype(np.uint8)


def picture() -> Image.Image:
    return Image.fromarray(GRADIENT)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_is_read_whatever_its_name_says(form: str) -> None:
    pixels = decode(encoded(picture(), form))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (40, 60, 3))
    assert np.abs(pixels.astype(int) - GRADIENT).mean() < 8


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}]
)
def test_jpegs_are_as_pillow_reads_them_but_for_rounding(options: dict[str, object]) -> None:
    content = encoded(natural(90, 70), "JPEG", **options)
    theirs = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(decode(content) - theirs).max() <= 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html>404</html>",
        b"\xff\xd8\xff",
        encoded(picture(), "JPEG")[:-200],
        encoded(picture(), "JPEG")[:300],
        encoded(picture(), "PNG")[:-100],
        encoded(picture(), "WEBP")[:-50],
        encoded(picture(), "TIFF"),
    ],
    ids=["nothing", "a page", "three bytes", "cut jpeg", "cut header", "cut png", "cut webp",
         "a format that browsers do not show"],
)  # fmt: skip
def test_an_incomplete_picture_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenImageError):
        decode(content)


@pytest.mark.parametrize("size", [(65_500, 1_100), (9_500, 9_500), (12_500, 12_500), (30_000,) * 2])
def test_huge_pictures_are_refused_before_a_pixel_is_decoded(size: tuple[int, int]) -> None:
    content = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = b"".join(edge.to_bytes(4, "big") for edge in size)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with pytest.raises(BrokenImageError, match="pixels"):
        decode(bytes(content))


def test_a_huge_jpeg_is_refused_before_a_pixel_is_decoded() -> None:
    content = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = (60_000).to_bytes(2, "big") * 2
    with pytest.raises(BrokenImageError, match="60000x60000 pixels"):
        decode(bytes(content))


@pytest.mark.parametrize("size", [(64, 64 * MAX_RATIO + 1), (60_000, 1)])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_line_of_pixels_is_refused(form: str, size: tuple[int, int]) -> None:
    # Its short side is resized to some hundred pixels, and the long one with it: 12 GB at worst.
    with pytest.raises(BrokenImageError, match="too long and narrow"):
        decode(encoded(Image.new("RGB", size), form))
    assert decode(encoded(Image.new("RGB", (2 * MAX_RATIO, 2)), form)).shape == (
        2,
        2 * MAX_RATIO,
        3,
    )


def scanned(content: bytes, scans: int) -> bytes:
    """Repeat the last scan of a JPEG until there are so many."""
    last, end = content.rindex(b"\xff\xda"), len(content) - 2
    scan = content[last:end]
    return content[:end] + scan * (scans - content.count(b"\xff\xda")) + content[end:]


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_more_scans_than_anyone_writes_are_refused(mode: str) -> None:
    content = encoded(picture().convert(mode), "JPEG", progressive=True)
    decode(scanned(content, MAX_SCANS))
    with pytest.raises(BrokenImageError, match=f"{MAX_SCANS + 1} scans of 60x40 pixels"):
        decode(scanned(content, MAX_SCANS + 1))


def test_scans_of_a_large_picture_are_bounded_by_the_pixels_passed_over() -> None:
    content = scanned(encoded(picture(), "JPEG", progressive=True), 17)
    refuse_scans(content, 4_096, 4_096)
    with pytest.raises(BrokenImageError, match="17 scans"):
        refuse_scans(content, MAX_PIXELS >> 10, 1 << 10)


def test_scans_are_counted_for_a_jpeg_that_comes_colour_by_colour() -> None:
    content = bytearray(encoded(picture(), "JPEG"))
    content[content.index(b"\xff\xda") + 4] = 1  # says: the first scan has one colour of three
    with pytest.raises(BrokenImageError, match="scans"):
        refuse_scans(scanned(bytes(content), MAX_SCANS + 1), 60, 40)


@pytest.mark.parametrize("metadata", [b"", b"\xff\xda" * 200])
def test_a_scan_marker_in_the_metadata_does_not_count_as_a_scan(metadata: bytes) -> None:
    content = encoded(picture(), "JPEG", exif=b"Exif\0\0" + metadata, comment=metadata)
    assert decode(content).shape == (40, 60, 3)


def test_large_pictures_are_decoded_one_at_a_time() -> None:
    with room(LARGE_PIXELS, 2) as _, room(LARGE_PIXELS, 1):
        waits = room(2, LARGE_PIXELS)
        assert not waits.acquire(blocking=False)  # type: ignore[attr-defined]


def test_a_lack_of_memory_is_not_a_broken_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(image: Image.Image) -> Image.Image:
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr("harness.data.pictures.decode.rgb", fails)
    with pytest.raises(MemoryError):
        decode(encoded(picture(), "PNG"))


def bombs() -> dict[str, bytes]:
    about = PngInfo()
    about.add_text("comment", "x" * (64 << 20), zip=True)
    profile = b"x" * (64 << 20)
    frames = [Image.new("RGB", (60, 40), (k, 0, 0)) for k in range(50)]
    more: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    return {
        "a text of 64 MiB": encoded(picture(), "PNG", pnginfo=about),
        "a profile of 64 MiB": encoded(picture(), "PNG", icc_profile=profile),
        "an animated GIF": encoded(frames[0], "GIF", **more),
        "an animated WEBP": encoded(frames[0], "WEBP", **more),
    }


def test_what_swells_beside_the_pixels_costs_little() -> None:
    for name, content in bombs().items():
        tracemalloc.start()
        try:
            shape = decode(content).shape
        except BrokenImageError:
            shape = (40, 60, 3)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert shape == (40, 60, 3), name
        assert peak < 8 << 20, name


def test_huge_files_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(BrokenImageError, match="64 MiB"):
        decode(encoded(picture(), "JPEG") + bytes(MAX_BYTES))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damaged_bytes_never_raise_anything_else(form: str) -> None:
    content = encoded(picture(), form)
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(content[: draw.randrange(1, len(content))] if draw.random() < 0.3
                            else content)  # fmt: skip
        for _ in range(draw.choice((1, 2, 8))):
            reach = 200 if draw.random() < 0.7 else len(damaged)
            damaged[draw.randrange(min(len(damaged), reach))] = draw.randrange(256)
        try:
            decode(bytes(damaged))
        except BrokenImageError:
            continue


@pytest.mark.parametrize(
    ("mode", "form"),
    [("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("1", "PNG"), ("LA", "PNG"),
     ("RGBA", "PNG"), ("RGBA", "WEBP")],
)  # fmt: skip
def test_every_colour_mode_becomes_rgb(mode: str, form: str) -> None:
    grey = Image.new("RGB", (16, 16), (160, 160, 160)).convert(mode)
    pixels = decode(encoded(grey, form))
    assert pixels.shape == (16, 16, 3)
    if mode != "1":  # which is dithered to black and white
        assert np.abs(pixels.astype(int) - 160).mean() < 12


def test_transparency_is_dropped() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    assert decode(encoded(clear, "PNG"))[0, 0].tolist() == [200, 100, 50]
    indexed = picture().quantize(16)
    content = encoded(indexed, "PNG", transparency=bytes(range(16)))
    assert decode(content).shape == (40, 60, 3)


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65_535, 256).reshape(16, 16).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(pixels[:, :, 0], deep >> 8)


def test_an_exif_orientation_is_not_applied_as_in_imagefolder() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert decode(encoded(picture(), "JPEG", exif=exif)).shape == (40, 60, 3)


draws = st.lists(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
    min_size=CROP_TRIES,
    max_size=CROP_TRIES,
)


@given(
    width=st.integers(1, 5_000), height=st.integers(1, 5_000), area=st.floats(0.01, 1), draws=draws
)
def test_a_random_box_lies_inside_the_picture(
    width: int, height: int, area: float, draws: list[list[float]]
) -> None:
    box = random_box(width, height, area, np.array(draws))
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height


@pytest.mark.parametrize(("width", "height"), [(500, 375), (64, 64), (200, 900), (1000, 100)])
@pytest.mark.parametrize("min_area", [0.08, 0.5])
def test_random_boxes_are_spread_like_torchvisions(
    width: int, height: int, min_area: float
) -> None:
    count = 4_000
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array([
        RandomResizedCrop.get_params(image, [min_area, 1.0], [3 / 4, 4 / 3]) for _ in range(count)
    ])  # fmt: skip
    tops, lefts, heights, widths = theirs.T
    random_draws = np.random.default_rng(0).random((count, CROP_TRIES, 4))
    boxes = np.array([random_box(width, height, min_area, draw) for draw in random_draws])
    mine = {
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (width * height),
        "ratio": np.log((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])),
        "left": boxes[:, 0] / width,
        "top": boxes[:, 1] / height,
    }
    torchvisions = {
        "area": heights * widths / (width * height),
        "ratio": np.log(widths / heights),
        "left": lefts / width,
        "top": tops / height,
    }
    for name, values in mine.items():
        quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        theirs_too = np.quantile(torchvisions[name], [0.05, 0.25, 0.5, 0.75, 0.95])
        np.testing.assert_allclose(quantiles, theirs_too, atol=0.03, err_msg=name)


def test_if_no_draw_fits_the_largest_allowed_box_is_taken_from_the_middle() -> None:
    never = np.full((CROP_TRIES, 4), 0.999)
    assert random_box(1_000, 100, 0.9, never) == (433, 0, 566, 100)
    assert random_box(100, 1_000, 0.9, np.zeros((CROP_TRIES, 4))) == (0, 433, 100, 566)


@cache
def natural(width: int, height: int) -> Image.Image:
    """Smooth shading, edges and texture: pink noise, as photographs have."""
    noise = np.random.default_rng(0).standard_normal((height, width, 3))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    spectrum = np.fft.fft2(noise, axes=(0, 1)) / np.maximum(frequency, 1 / width)[:, :, None]
    pink = np.fft.ifft2(spectrum, axes=(0, 1)).real
    pink = 128 + 60 * pink / pink.std()
    pink[height // 3 : height // 2, width // 4 : width // 2] += 60
    return Image.fromarray(pink.clip(0, 255).astype(np.uint8))


def grey_levels(mine: Pixels, theirs: Image.Image) -> float:
    assert mine.shape == np.asarray(theirs).shape
    return float(np.abs(mine.astype(int) - np.asarray(theirs).astype(int)).mean())


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (257, 256), (90, 70)])
@pytest.mark.parametrize("crop", ["center", "top_left", "bottom_right", "top_right", "bottom_left"])
def test_views_are_torchvisions_resize_and_crop(width: int, height: int, crop: Corner) -> None:
    image = natural(width, height)
    short, size = 73, 64
    whole = tv.resize(image, [short], InterpolationMode.BILINEAR)
    top_left, top_right, bottom_left, bottom_right, center = tv.five_crop(whole, [size, size])
    expected = {
        "center": center,
        "top_left": top_left,
        "top_right": top_right,
        "bottom_left": bottom_left,
        "bottom_right": bottom_right,
    }[crop]
    views = tuple(View(short_side=short, size=size, crop=crop, flip=flip) for flip in (False, True))
    straight, mirrored = crop_views(np.asarray(image).copy(), views)
    assert grey_levels(straight, expected) < 0.2
    assert grey_levels(mirrored, tv.hflip(expected)) < 0.2


@pytest.mark.parametrize("box", [Box(0, 0, 500, 375), Box(31, 7, 300, 260), Box(100, 90, 150, 140)])
def test_a_crop_is_within_one_grey_level_of_pillows(box: Box) -> None:
    image = natural(500, 375)
    expected = image.resize((224, 224), Image.Resampling.BILINEAR, box=box)
    assert (
        grey_levels(crop_and_resize(np.asarray(image).copy(), box, 224, flip=False), expected) < 0.5
    )


@pytest.mark.parametrize("shape", [(375, 500), (256, 341), (64, 64), (1, 1), (7, 300)])
@pytest.mark.parametrize(("height", "width"), [(224, 224), (64, 33), (1, 5)])
def test_a_resize_is_torchs_interpolation_byte_for_byte(
    shape: tuple[int, int], height: int, width: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    expected = functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    found = resize(pixels, height, width)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected[0].permute(1, 2, 0).numpy())
    part = pixels[: shape[0] // 2 + 1, shape[1] // 3 :]  # rows that do not follow each other
    np.testing.assert_array_equal(
        resize(part, height, width), resize(np.ascontiguousarray(part), height, width)
    )


def test_a_view_that_the_picture_cannot_hold_is_refused() -> None:
    with pytest.raises(PluginError, match="a view of 33 pixels needs a short side"):
        View(short_side=32, size=33)


def test_flipping_mirrors_left_and_right() -> None:
    box = Box(5, 5, 45, 35)
    straight, mirrored = (crop_and_resize(GRADIENT, box, 16, flip=flip) for flip in (False, True))
    np.testing.assert_array_equal(straight[:, ::-1], mirrored)
