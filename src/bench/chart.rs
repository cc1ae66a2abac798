//! Charts: lines over two axes, as SVG whose colours are left to the page.

use std::fmt::Write;

/// The size of a chart, in units of about a pixel.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 330.0;

/// The edges of the area in which lines are drawn.
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 44.0;

/// The most points of a line that are marked one by one.
const MARKED_MAX: usize = 50;

/// An axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    label: &'static str,
    /// Equal factors, not equal differences, have equal distances.
    log: bool,
}

impl Axis {
    pub(super) const fn log(label: &'static str) -> Self {
        Axis { label, log: true }
    }

    pub(super) const fn linear(label: &'static str) -> Self {
        Axis { label, log: false }
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }
}

/// A line.
pub(super) struct Line {
    pub(super) name: String,
    /// The index of one of the page's colours.
    pub(super) colour: usize,
    pub(super) dashed: bool,
    pub(super) points: Vec<Point>,
}

impl Line {
    fn class(&self) -> String {
        let dashed = if self.dashed { " dashed" } else { "" };
        format!("c{}{dashed}", self.colour)
    }
}

/// A point of a line, and the range of its height.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) range: Option<(f64, f64)>,
}

impl Point {
    pub(super) fn at(x: f64, y: f64) -> Self {
        Point { x, y, range: None }
    }
}

/// A chart.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// A sentence about what it shows.
    pub(super) caption: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// A map from values to places along an axis.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    /// The places of both.
    places: (f64, f64),
}

impl Scale {
    /// The scale for some values, or `None` if the axis shows none of them.
    fn new(axis: Axis, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Option<Self> {
        let shown = values.filter(|value| axis.shows(*value));
        let (low, high) = shown.fold((f64::MAX, f64::MIN), |it, value| {
            (it.0.min(value), it.1.max(value))
        });
        let (from, to) = match axis.log {
            true => (low / 1.15, high * 1.15),
            false => (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1.0 }),
        };
        (low <= high).then_some(Scale {
            axis,
            from,
            to,
            places,
        })
    }

    fn place(&self, value: f64) -> f64 {
        let part = match self.axis.log {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    /// The values that are written along the axis.
    fn ticks(&self) -> Vec<f64> {
        if !self.axis.log {
            let rough = (self.to - self.from) / 5.0;
            let power = 10f64.powf(rough.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
            let step = steps.into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(rough);
            let count = ((self.to - self.from) / step) as usize;
            let first = (self.from / step).ceil();
            let ticks = (0..=count).map(|tick| (first + tick as f64) * step);
            return ticks.collect();
        }
        let decades = (self.to / self.from).log10();
        let steps = if decades < 2.5 { 3 } else { 1 };
        let steps = [1.0, 2.0, 5.0].into_iter().take(steps);
        let first = self.from.log10().floor() as i32;
        let powers = first..=self.to.log10().ceil() as i32;
        let ticks = powers.flat_map(|power| steps.clone().map(move |it| it * 10f64.powi(power)));
        let ticks = ticks.filter(|tick| (self.from..=self.to).contains(tick));
        let ticks: Vec<f64> = ticks.collect();
        match ticks.is_empty() {
            // The one value of the axis stands in the middle.
            true => vec![(self.from * self.to).sqrt()],
            false => ticks,
        }
    }
}

/// A short form of a number: 1.5k, 20M.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

/// Text without markup, as part of a page.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Text at a place.
fn text(class: &str, x: f64, y: f64, text: &str) -> String {
    let text = escaped(text);
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n")
}

/// A vertical (`V`) or horizontal (`H`) path from a point to a coordinate.
fn path(class: &str, x: f64, y: f64, to: char, end: f64) -> String {
    format!("<path class=\"{class}\" d=\"M{x:.1} {y:.1}{to}{end:.1}\"/>\n")
}

impl Chart {
    /// The chart with its title, its legend and its caption, or nothing if it shows no point.
    pub(super) fn figure(&self) -> String {
        let Some(svg) = self.svg() else {
            return String::new();
        };
        let mut page = format!("<figure><h2>{}</h2>\n{svg}", escaped(self.title));
        page += "<ul class=\"legend\">";
        for line in &self.lines {
            let _ = write!(
                page,
                "<li><svg class=\"key {}\" viewBox=\"0 0 24 8\" aria-hidden=\"true\">\
                 <path d=\"M0 4H24\"/></svg>{}</li>",
                line.class(),
                escaped(&line.name)
            );
        }
        page + "</ul><figcaption>" + &self.caption + "</figcaption></figure>\n"
    }

    fn points<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = &'a Point> {
        let points = line.points.iter();
        points.filter(|point| self.x.shows(point.x) && self.y.shows(point.y))
    }

    fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| self.points(line));
        let ys = points().flat_map(|it| {
            let (low, high) = it.range.unwrap_or((it.y, it.y));
            [it.y, low, high]
        });
        let x = Scale::new(self.x, points().map(|it| it.x), (LEFT, RIGHT))?;
        let y = Scale::new(self.y, ys, (BOTTOM, TOP))?;
        let title = escaped(self.title);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n"
        );
        svg += &self.axes(&x, &y);
        for line in &self.lines {
            svg += &self.draw(line, &x, &y);
        }
        Some(svg + "</svg>\n")
    }

    fn axes(&self, x: &Scale, y: &Scale) -> String {
        let mut svg = String::new();
        for tick in x.ticks() {
            let at = x.place(tick);
            svg += &path("grid", at, TOP, 'V', BOTTOM);
            svg += &text("middle", at, BOTTOM + 15.0, &short(tick));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            svg += &path("grid", LEFT, at, 'H', RIGHT);
            svg += &text("end", LEFT - 6.0, at + 4.0, &short(tick));
        }
        let (centre, middle) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        svg += &text("middle label", centre, HEIGHT - 6.0, self.x.label);
        let label = text("middle label", 0.0, 0.0, self.y.label);
        svg + &format!("<g transform=\"translate(12 {middle}) rotate(-90)\">{label}</g>\n")
    }

    fn draw(&self, line: &Line, x: &Scale, y: &Scale) -> String {
        let class = line.class();
        let mut svg = format!("<g class=\"{class}\"><path class=\"line\" d=\"");
        for (index, point) in self.points(line).enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (px, py) = (x.place(point.x), y.place(point.y));
            let _ = write!(svg, "{command}{px:.1} {py:.1}");
        }
        svg += "\"/>\n";
        let are_marked = line.points.len() <= MARKED_MAX;
        for point in self.points(line).filter(|_| are_marked) {
            let (px, py) = (x.place(point.x), y.place(point.y));
            if let Some((low, high)) = point.range {
                svg += &path("range", px, y.place(low), 'V', y.place(high));
            }
            let _ = writeln!(
                svg,
                "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.2\">\
                 <title>{}: {} {}, {} {}</title></circle>",
                escaped(&line.name),
                short(point.x),
                escaped(self.x.label),
                short(point.y),
                escaped(self.y.label)
            );
        }
        svg + "</g>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Axis = Axis::log("a <b>");
    const LINEAR: Axis = Axis::linear("µs");

    #[test]
    fn values_are_between_the_ends_of_their_axis_and_in_order() {
        let values = [1.0, 3.0, 40.0, 1000.0];
        for axis in [LOG, LINEAR] {
            let scale = Scale::new(axis, values.into_iter(), (10.0, 110.0)).expect("values");
            let places = values.map(|value| scale.place(value));
            assert!(places.is_sorted() && places[0] >= 10.0 && places[3] <= 110.0);
            let ticks = scale.ticks();
            assert!((3..=7).contains(&ticks.len()), "{ticks:?}");
            let range = scale.from..=scale.to;
            assert!(ticks.iter().all(|tick| range.contains(tick)));
        }
        let scale = Scale::new(LOG, values.into_iter(), (0.0, 3.0)).expect("values");
        let [one, ten, hundred] = [2.0, 20.0, 200.0].map(|value| scale.place(value));
        assert!((ten - one - (hundred - ten)).abs() < 1e-9);
        assert!(Scale::new(LOG, [0.0, f64::NAN].into_iter(), (0.0, 1.0)).is_none());
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.25, 5.0, 999.0, 1000.0, 1500.0, 2e6].map(short);
        assert_eq!(numbers, ["0", "0.25", "5", "999", "1k", "1.5k", "2M"]);
    }

    #[test]
    fn a_chart_has_its_lines_and_nothing_that_is_markup_by_accident() {
        let points = vec![Point::at(1.0, 2.0), Point::at(10.0, 4.0)];
        let chart = Chart {
            title: "x & y",
            caption: String::new(),
            x: LOG,
            y: LINEAR,
            lines: vec![Line {
                name: "<s>".to_owned(),
                colour: 3,
                dashed: true,
                points,
            }],
        };
        let page = chart.figure();
        assert!(page.contains("class=\"c3 dashed\""));
        assert_eq!(page.matches("<circle").count(), 2);
        assert!(!page.contains("<s>") && !page.contains("<b>") && page.contains("x &amp; y"));
        let empty = Chart {
            lines: Vec::new(),
            ..chart
        };
        assert_eq!(empty.figure(), "", "nothing was measured");
    }

    #[test]
    fn a_single_value_is_written_as_well() {
        let scale = |values: &[f64]| Scale::new(LOG, values.iter().copied(), (0.0, 1.0));
        let labels = |values: &[f64]| {
            let ticks = scale(values).expect("there are values").ticks();
            ticks.into_iter().map(short).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[64.0]), ["64"]);
        assert_eq!(labels(&[64.0, 256.0]), ["100", "200"]);
    }
}
