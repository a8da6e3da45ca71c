"""Image files of many kinds, and their pixels as Pillow reads them.

Writes images/ with the files, and images.safetensors, uint8 [height, width, 3]: `<file>` is the file after exif_transpose,
laid on white and converted to RGB; `<file>/square-<edge>-<size>` is the middle of the same, scaled to `edge` pixels on its
shorter side (bicubic). Files that Pillow cannot write, with 16 bits and with `eXIf` after the pixels, are built here.
"""

import io
import struct
import zlib

import numpy
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'
SQUARES = [(16, 16), (18, 16), (40, 32)]  # edge, size


def dump(folder):
    target = folder / "images"
    target.mkdir(exist_ok=True)
    for name, data in files().items():
        (target / name).write_bytes(data)
    tensors = {name: upright(target / name) for name in files()}
    for name in ["noise-wide.png", "noise-high.png", "transparent.png"]:
        for edge, size in SQUARES:
            tensors[f"{name}/square-{edge}-{size}"] = square(tensors[name], edge, size)
    save_file({name: torch.from_numpy(pixels.copy()) for name, pixels in tensors.items()}, folder / "images.safetensors")


def files():
    generator = numpy.random.default_rng(0)
    scene = smooth(24, 16)
    result = {}
    for value in range(1, 9):
        result[f"orientation-{value}.jpg"] = encoded(scene, "JPEG", exif=exif(value), quality=95, subsampling=0)
    result["orientation-6.png"] = encoded(scene, "PNG", exif=exif(6))
    result["orientation-8-at-the-end.png"] = late_exif(encoded(scene, "PNG"), 8)
    result["orientation-5.webp"] = encoded(scene, "WEBP", exif=exif(5), lossless=True)
    result["orientation-7-lossy.webp"] = encoded(scene, "WEBP", exif=exif(7), quality=90)
    information = PngInfo()
    information.add_itxt("XML:com.adobe.xmp", XMP.format(3))
    result["orientation-3-xmp.png"] = encoded(scene, "PNG", pnginfo=information)
    result["progressive.jpg"] = encoded(scene, "JPEG", quality=95, subsampling=0, progressive=True)
    result["subsampled.jpg"] = encoded(scene, "JPEG", quality=95)
    result["grey.jpg"] = encoded(scene.convert("L"), "JPEG", quality=95)
    result["cmyk.jpg"] = encoded(scene.convert("CMYK"), "JPEG", quality=95)
    result["grey.png"] = encoded(scene.convert("L"), "PNG")
    result["bilevel.png"] = encoded(scene.convert("1"), "PNG")
    result["palette.png"] = encoded(scene.quantize(16), "PNG")
    result["palette-transparent.png"] = encoded(scene.quantize(16), "PNG", transparency=bytes(range(0, 256, 16)))
    result["colour-key.png"] = encoded(scene.quantize(8).convert("RGB"), "PNG", transparency=scene.quantize(8).convert("RGB").getpixel((3, 3)))
    transparent = numpy.dstack([numpy.asarray(scene), numpy.asarray(smooth(24, 16, 3).convert("L"))])
    result["transparent.png"] = encoded(Image.fromarray(transparent), "PNG")
    result["grey-transparent.png"] = encoded(Image.fromarray(transparent).convert("LA"), "PNG")
    result["transparent.webp"] = encoded(Image.fromarray(transparent), "WEBP", lossless=True, exact=True)
    deep = generator.integers(0, 65536, (7, 5, 4), dtype=numpy.uint16)
    result["grey-16.png"] = png(deep[:, :, :1], 0)
    result["rgb-16.png"] = png(deep[:, :, :3], 2)
    result["transparent-16.png"] = png(deep, 6)
    result["animated.webp"] = encoded(scene, "WEBP", save_all=True, append_images=[ImageOps.invert(scene)], lossless=True)
    result["noise-wide.png"] = encoded(noise(generator, 47, 21), "PNG")
    result["noise-high.png"] = encoded(noise(generator, 13, 34), "PNG")
    return result


def smooth(width, height, phase=0):
    """All corners differ, and every orientation is a different image."""
    x, y = numpy.meshgrid(numpy.linspace(0, 1, width), numpy.linspace(0, 1, height))
    channels = [x, y, 0.5 + 0.5 * numpy.sin(5 * x + 3 * y + phase)]
    return Image.fromarray((255 * numpy.dstack(channels[phase % 3 :] + channels[: phase % 3])).astype(numpy.uint8))


def noise(generator, width, height):
    """Black and white, hard for a resampling filter."""
    return Image.fromarray(255 * generator.integers(0, 2, (height, width, 3), dtype=numpy.uint8))


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def exif(orientation):
    entries = Image.Exif()
    entries[0x0112] = orientation
    return entries.tobytes()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def late_exif(data, orientation):
    end = chunk(b"IEND", b"")
    return data.removesuffix(end) + chunk(b"eXIf", exif(orientation).removeprefix(b"Exif\0\0")) + end


def png(pixels, colour):
    """A PNG with 16 bits a channel."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def upright(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode == "I;16":  # Pillow would clip instead of scaling
        image = Image.fromarray((numpy.asarray(image) // 257).astype(numpy.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return numpy.asarray(image.convert("RGB"))


def square(pixels, edge, size):
    """The preprocessing of transformers' CLIPImageProcessor: scales the shorter side to `edge`, then crops the middle."""
    image = Image.fromarray(pixels)
    width, height = (int(edge * side / min(image.size)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return numpy.asarray(image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size)))
