"""Pictures from the web, and squares cut out of them."""

from __future__ import annotations

import io
import math
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as tv

from harness.data.images import (
    CROP_TRIES,
    MAX_BYTES,
    BrokenImageError,
    cut,
    random_box,
    read_image,
    view_box,
)
from harness.values import Corner, View

# pytest resets the filter that harness.data.images sets for Pillow's warnings.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL.Image")

GRADIENT = np.linspace(0, 255, 60 * 40 * 3).reshape(40, 60, 3).astype(np.uint8)


def picture() -> Image.Image:
    return Image.fromarray(GRADIENT)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def put(folder: Path, content: bytes, name: str = "picture.jpg") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_is_read_whatever_its_name_says(tmp_path: Path, form: str) -> None:
    image = read_image(put(tmp_path, encoded(picture(), form)))
    assert (image.mode, image.size) == ("RGB", (60, 40))
    assert np.abs(np.asarray(image).astype(int) - GRADIENT).mean() < 8


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
def test_what_is_no_whole_picture_is_broken(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BrokenImageError):
        read_image(put(tmp_path, content))


def test_a_missing_file_is_broken_and_says_so_shortly(tmp_path: Path) -> None:
    with pytest.raises(BrokenImageError, match=r"^No such file or directory$"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(BrokenImageError, match=r"^Is a directory$"):
        read_image(tmp_path)


@pytest.mark.parametrize("size", [(65_500, 1_100), (9_500, 9_500), (12_500, 12_500), (30_000,) * 2])
def test_huge_pictures_are_refused_before_a_pixel_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    content = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = b"".join(edge.to_bytes(4, "big") for edge in size)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with pytest.raises(BrokenImageError, match="pixels"):
        read_image(put(tmp_path, bytes(content)))


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = put(tmp_path, encoded(picture(), "JPEG"))
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(BrokenImageError, match="64 MiB"):
        read_image(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damaged_bytes_never_raise_anything_else(tmp_path: Path, form: str) -> None:
    content = encoded(picture(), form)
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(content[: draw.randrange(1, len(content))] if draw.random() < 0.3
                            else content)  # fmt: skip
        for _ in range(draw.choice((1, 2, 8))):
            reach = 200 if draw.random() < 0.7 else len(damaged)
            damaged[draw.randrange(min(len(damaged), reach))] = draw.randrange(256)
        try:
            read_image(put(tmp_path, bytes(damaged)))
        except BrokenImageError:
            continue


@pytest.mark.parametrize(
    ("mode", "form"),
    [("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("1", "PNG"), ("LA", "PNG"),
     ("RGBA", "PNG"), ("RGBA", "WEBP")],
)  # fmt: skip
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str, form: str) -> None:
    grey = Image.new("RGB", (16, 16), (160, 160, 160)).convert(mode)
    image = read_image(put(tmp_path, encoded(grey, form)))
    assert image.mode == "RGB"
    if mode != "1":  # which is dithered to black and white
        assert np.abs(np.asarray(image).astype(int) - 160).mean() < 12


def test_transparency_is_dropped(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    assert read_image(put(tmp_path, encoded(clear, "PNG"))).getpixel((0, 0)) == (200, 100, 50)
    indexed = picture().quantize(16)
    content = encoded(indexed, "PNG", transparency=bytes(range(16)))
    assert read_image(put(tmp_path, content)).mode == "RGB"


def test_sixteen_bit_greys_are_scaled_not_clipped(tmp_path: Path) -> None:
    deep = np.linspace(0, 65_535, 256).reshape(16, 16).astype(np.uint16)
    image = read_image(put(tmp_path, encoded(Image.fromarray(deep), "PNG")))
    np.testing.assert_array_equal(np.asarray(image)[:, :, 0], deep >> 8)


def test_an_exif_orientation_is_not_applied_as_in_imagefolder(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image = read_image(put(tmp_path, encoded(picture(), "JPEG", exif=exif)))
    assert image.size == (60, 40)


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


def test_where_no_draw_fits_the_largest_allowed_box_is_taken_from_the_middle() -> None:
    never = np.full((CROP_TRIES, 4), 0.999)
    assert random_box(1_000, 100, 0.9, never) == (433, 0, 566, 100)
    assert random_box(100, 1_000, 0.9, np.zeros((CROP_TRIES, 4))) == (0, 433, 100, 566)


def natural(width: int, height: int) -> Image.Image:
    """Smooth shading, edges and texture: pink noise, as photographs have."""
    noise = np.random.default_rng(0).standard_normal((height, width, 3))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    spectrum = np.fft.fft2(noise, axes=(0, 1)) / np.maximum(frequency, 1 / width)[:, :, None]
    pink = np.fft.ifft2(spectrum, axes=(0, 1)).real
    pink = 128 + 60 * pink / pink.std()
    pink[height // 3 : height // 2, width // 4 : width // 2] += 60
    return Image.fromarray(pink.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (256, 256), (92, 69)])
@pytest.mark.parametrize("crop", ["center", "top_left", "bottom_right", "top_right", "bottom_left"])
def test_a_view_is_resizing_and_cutting_in_one(width: int, height: int, crop: Corner) -> None:
    image = natural(width, height)
    short, size = 72, 64  # whole numbers of pixels in both steps, so that no edge is rounded
    whole = tv.resize(image, [short], InterpolationMode.BILINEAR)
    down, right = whole.height - size, whole.width - size
    top, left = {
        "center": (down // 2, right // 2),
        "top_left": (0, 0),
        "top_right": (0, right),
        "bottom_left": (down, 0),
        "bottom_right": (down, right),
    }[crop]
    two_steps = tv.crop(whole, top, left, size, size)
    for flip in (False, True):
        view = View(short_side=short, size=size, crop=crop, flip=flip)
        pixels = cut(image, view_box(width, height, view), size, flip=flip)
        expected = np.asarray(tv.hflip(two_steps) if flip else two_steps).astype(int)
        assert pixels.shape == (size, size, 3)
        assert np.abs(pixels - expected).mean() < 0.5


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (90, 70)])
def test_a_centre_view_is_torchvisions_but_for_the_pixels_that_it_rounds(
    width: int, height: int
) -> None:
    image = natural(width, height)
    whole = tv.resize(image, [37], InterpolationMode.BILINEAR)
    expected = np.asarray(tv.center_crop(whole, [32])).astype(int)
    box = view_box(width, height, View(short_side=37, size=32))
    difference = np.abs(cut(image, box, 32, flip=False) - expected).mean()
    shifted = [np.abs(np.roll(expected, 1, axis=axis) - expected).mean() for axis in (0, 1)]
    assert difference < min(shifted)


@given(
    width=st.integers(1, 3_000),
    height=st.integers(1, 3_000),
    short=st.integers(1, 600),
    size=st.integers(1, 600),
    crop=st.sampled_from(["center", "top_left", "top_right", "bottom_left", "bottom_right"]),
)
def test_a_view_lies_inside_the_picture_and_is_square(
    width: int, height: int, short: int, size: int, crop: str
) -> None:
    box = view_box(width, height, View(short_side=short, size=size, crop=crop))
    assert box.left >= 0
    assert box.top >= 0
    assert box.right <= width + 1e-6
    assert box.bottom <= height + 1e-6
    assert math.isclose(box.right - box.left, box.bottom - box.top, rel_tol=1e-6, abs_tol=1e-6)


def test_flipping_mirrors_left_and_right() -> None:
    box = view_box(60, 40, View(short_side=40, size=40))
    straight, mirrored = (cut(picture(), box, 16, flip=flip) for flip in (False, True))
    np.testing.assert_array_equal(straight[:, ::-1], mirrored)
