//! Which rectangles are large enough for a number of triads, and square enough.
//!
//! `area_to_rect` chooses the one rectangle that spalloc's server would try in a given space: what it finds
//! possible must be possible here. `shapes` lists every rectangle worth trying, the least wasteful first.

/// A ratio of sides as short over long: above 1 it is inverted, what is negative or no number is 0.
pub fn landscape_ratio(ratio: f64) -> f64 {
    if ratio > 1.0 {
        1.0 / ratio
    } else if ratio > 0.0 {
        ratio
    } else {
        0.0
    }
}

/// The most nearly square rectangle of exactly this area, at least as wide as high.
pub fn squarest_rectangle(area: u32) -> (u32, u32) {
    let height = (1..=area.isqrt()).rev().find(|height| area.is_multiple_of(*height));
    height.map_or((0, 0), |height| (area / height, height))
}

/// A rectangle of at least this area whose height over width is about the ratio, at least as wide as high.
pub fn rectangle_with_aspect_ratio(area: u32, ratio: f64) -> (u32, u32) {
    if area == 0 {
        return (0, 0);
    }
    let ideal_width = (f64::from(area) / ratio).sqrt();
    let height = ((f64::from(area) / ideal_width).ceil() as u32).clamp(1, area);
    (area.div_ceil(height).max(height), height)
}

/// The rectangle of at least `area` triads that spalloc's server tries in an empty space of this size.
pub fn area_to_rect(area: u32, bound_width: u32, bound_height: u32, min_ratio: f64) -> Option<(u32, u32)> {
    if area == 0 || u64::from(area) > u64::from(bound_width) * u64::from(bound_height) {
        return None;
    }
    let min_ratio = landscape_ratio(min_ratio);
    let (mut width, mut height) = squarest_rectangle(area);
    if ratio_of(width, height) < min_ratio {
        (width, height) = rectangle_with_aspect_ratio(area, min_ratio);
    }
    if bound_width > bound_height && width > height {
        (width, height) = (height, width);
    }
    if width <= bound_width && height <= bound_height {
        return Some((width, height));
    }
    if width > bound_width {
        (width, height) = (bound_width, area.div_ceil(bound_width));
    } else {
        (width, height) = (area.div_ceil(bound_height), bound_height);
    }
    (ratio_of(width, height) >= min_ratio).then_some((width, height))
}

/// The rectangle that `area_to_rect` finds although it is below the ratio, because of how it rounds.
pub fn below_ratio(area: u32, bound_width: u32, bound_height: u32, min_ratio: f64) -> Option<Shape> {
    let (width, height) = area_to_rect(area, bound_width, bound_height, min_ratio)?;
    let (long, short) = (width.max(height), width.min(height));
    let below = ratio_of(width, height) < landscape_ratio(min_ratio);
    below.then(|| Shape { larger: false, surplus: (width * height).saturating_sub(area), long, short })
}

/// Short side over long side.
pub fn ratio_of(width: u32, height: u32) -> f64 {
    f64::from(width.min(height)) / f64::from(width.max(height))
}

/// Two sides of a rectangle that may be laid either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// It holds another shape that would do, had that no dead boards.
    pub larger: bool,
    /// Triads beyond those needed.
    pub surplus: u32,
    /// The longer side.
    pub long: u32,
    /// The shorter side.
    pub short: u32,
}

impl Shape {
    /// The ways to lay it in a machine, the better for what remains first: across the machine's longer side.
    pub fn laid_in(self, bound_width: u32, bound_height: u32) -> impl Iterator<Item = (u32, u32)> {
        let (portrait, landscape) = ((self.short, self.long), (self.long, self.short));
        let ways = if bound_width > bound_height { [portrait, landscape] } else { [landscape, portrait] };
        let distinct = if self.long == self.short { 1 } else { 2 };
        let fits = move |way: &(u32, u32)| way.0 <= bound_width && way.1 <= bound_height;
        ways.into_iter().take(distinct).filter(fits)
    }
}

/// For each long side that fits, the shortest other side with at least `area` and the ratio; least surplus
/// first, then squarest.
///
/// Shapes that hold a smaller one of the list can only help where a larger rectangle makes up for dead boards:
/// they come last, and only `with_larger`.
pub fn shapes(
    area: u32,
    min_ratio: f64,
    bound_width: u32,
    bound_height: u32,
    with_larger: bool,
) -> Vec<Shape> {
    let (bound_long, bound_short) = (bound_width.max(bound_height), bound_width.min(bound_height));
    let min_ratio = landscape_ratio(min_ratio);
    let mut shapes: Vec<Shape> = Vec::new();
    for long in area.isqrt().max(1)..=bound_long.min(area) {
        let Some(short) = shortest(area, long, min_ratio).filter(|short| *short <= bound_short) else {
            continue;
        };
        let larger = shapes.last().is_some_and(|shape| shape.short == short);
        if with_larger || !larger {
            let covered = u64::from(long) * u64::from(short);
            shapes.push(Shape { larger, surplus: (covered - u64::from(area)) as u32, long, short });
        }
    }
    shapes.sort_unstable();
    shapes
}

/// The least short side that makes the area with this long side and is not below the ratio.
fn shortest(area: u32, long: u32, min_ratio: f64) -> Option<u32> {
    let by_ratio = (min_ratio * f64::from(long)).floor() as u32;
    let mut short = area.div_ceil(long).max(by_ratio).max(1);
    // The product above may be rounded either way; the quotient decides, as it does for `area_to_rect`.
    while short <= long && ratio_of(long, short) < min_ratio {
        short += 1;
    }
    (short <= long).then_some(short)
}
