"""An address as a QR code."""

import io

import segno


def svg(address: str) -> bytes:
    """The code as an SVG image of its own, black on white, with the address as its title."""
    image = io.BytesIO()
    segno.make_qr(address, error="m").save(
        image, kind="svg", scale=8, light="#fff", title=address, xmldecl=False, svgclass=None, lineclass=None
    )
    return image.getvalue()
