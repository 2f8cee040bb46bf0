"""Plots as SVG: points joined by lines, both axes by powers of ten."""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 150, 32, 48
COLOURS = ("#1b6ca8", "#c1440e", "#3a7d44", "#7b4b94", "#8a6d00")


def decades(values):
    """The powers of ten around values above zero."""
    low, high = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
    return (low, high) if high > low else (low, low + 1)


def label(power):
    """A power of ten in words people read."""
    return f"{10 ** power:,}" if power >= 0 else f"{10.0 ** power:g}"


def plot(title, x_title, y_title, series):
    """The text of a plot; `series` are a name and points (x, y). A point at zero stands at the left edge."""
    xs = [x for _, points in series for x, _ in points if x > 0] or [1]
    ys = [y for _, points in series for _, y in points if y > 0] or [1]
    (x_low, x_high), (y_low, y_high) = decades(xs), decades(ys)
    if any(x <= 0 for _, points in series for x, _ in points):
        x_low -= 1
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x, y):
        across = (math.log10(x) - x_low) / (x_high - x_low) if x > 0 else 0
        up = (math.log10(y) - y_low) / (y_high - y_low) if y > 0 else 0
        return LEFT + across * inner_width, TOP + inner_height - up * inner_height

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT + inner_width / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="translate(14 {TOP + inner_height / 2}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>',
    ]
    for power in range(x_low, x_high + 1):
        x, _ = place(10.0 ** power, 10.0 ** y_low)
        text = "0" if power == x_low and any(x <= 0 for _, points in series for x, _ in points) else label(power)
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + inner_height}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP + inner_height + 16}" text-anchor="middle">{text}</text>')
    for power in range(y_low, y_high + 1):
        _, y = place(10.0 ** x_low, 10.0 ** power)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + inner_width}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label(power)}</text>')
    for index, (name, points) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        places = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        out.append(f'<text x="{LEFT + inner_width + 8}" y="{TOP + 12 + 16 * index}" fill="{colour}">{escape(name)}</text>')
    return "\n".join(out + ["</svg>", ""])
