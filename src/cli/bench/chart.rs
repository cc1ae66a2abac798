//! Pictures: lines over two axes, as SVG whose colours are left to the page.

use std::fmt::Write;

/// The size of a picture, in units that are about pixels, and the room for what is beside the
/// lines: left, right, top, bottom.
const SIZE: (f64, f64) = (560.0, 330.0);
const ROOM: (f64, f64, f64, f64) = (58.0, 14.0, 12.0, 44.0);

/// An axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) label: &'static str,
    /// Whether equal factors are equally far apart, and not equal differences.
    pub(super) log: bool,
}

/// A line.
pub(super) struct Line {
    pub(super) name: String,
    /// Which of the page's colours.
    pub(super) colour: usize,
    pub(super) dashed: bool,
    pub(super) points: Vec<Point>,
}

/// A point of a line, and how far it ranges up and down.
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

/// A picture.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What it shows, in a sentence.
    pub(super) caption: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Whether every point is marked.
    pub(super) marks_points: bool,
    /// Where something happened, and what.
    pub(super) events: Vec<(f64, String)>,
}

/// From values to places along an axis.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    /// The places of both.
    places: (f64, f64),
}

impl Scale {
    fn new(axis: Axis, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!axis.log || *value > 0.0));
        let (low, high) = shown.fold((f64::MAX, f64::MIN), |it, value| {
            (it.0.min(value), it.1.max(value))
        });
        if low > high {
            return None;
        }
        let (from, to) = if axis.log {
            (low / 1.15, high * 1.15)
        } else {
            (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1.0 })
        };
        Some(Scale {
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
        if self.axis.log {
            let decades = (self.to / self.from).log10();
            let steps: &[f64] = if decades < 2.5 {
                &[1.0, 2.0, 5.0]
            } else {
                &[1.0]
            };
            let first = self.from.log10().floor() as i32;
            let powers = first..=self.to.log10().ceil() as i32;
            let ticks = powers.flat_map(|power| steps.iter().map(move |it| it * 10f64.powi(power)));
            let within = ticks.filter(|tick| (self.from..=self.to).contains(tick));
            let within: Vec<f64> = within.collect();
            match within.is_empty() {
                // A single value, in the middle.
                true => vec![(self.from * self.to).sqrt()],
                false => within,
            }
        } else {
            let rough = (self.to - self.from) / 5.0;
            let power = 10f64.powf(rough.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
            let step = steps
                .into_iter()
                .find(|step| *step >= rough)
                .unwrap_or(rough);
            let count = ((self.to - self.from) / step) as usize;
            let first = (self.from / step).ceil();
            (0..=count)
                .map(|tick| (first + tick as f64) * step)
                .collect()
        }
    }
}

/// A number as short as it can be read: 1.5k, 20M.
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

/// Text in a page.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

impl Chart {
    /// The picture, with its title, its legend and its caption; nothing of what was not measured.
    pub(super) fn figure(&self) -> String {
        let Some(svg) = self.svg() else {
            return String::new();
        };
        let mut page = format!("<figure><h2>{}</h2>\n{svg}", escaped(self.title));
        page += "<ul class=\"legend\">";
        for line in &self.lines {
            let dashed = if line.dashed { " dashed" } else { "" };
            let _ = write!(
                page,
                "<li><svg class=\"key c{}{dashed}\" viewBox=\"0 0 24 8\" aria-hidden=\"true\">\
                 <path d=\"M0 4H24\"/></svg>{}</li>",
                line.colour,
                escaped(&line.name)
            );
        }
        let _ = writeln!(
            page,
            "</ul><figcaption>{}</figcaption></figure>",
            self.caption
        );
        page
    }

    fn svg(&self) -> Option<String> {
        let (width, height) = SIZE;
        let (left, right, top, bottom) = ROOM;
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let ys = points().flat_map(|it| {
            [
                it.y,
                it.range.map_or(it.y, |it| it.0),
                it.range.map_or(it.y, |it| it.1),
            ]
        });
        let x = Scale::new(self.x, points().map(|it| it.x), (left, width - right))?;
        let y = Scale::new(self.y, ys, (height - bottom, top))?;
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{}\">\n",
            escaped(self.title)
        );
        self.draw_axes(&mut svg, &x, &y);
        for (at, what) in &self.events {
            let at = x.place(*at);
            let _ = writeln!(
                svg,
                "<path class=\"event\" d=\"M{at:.1} {top}V{}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}</text>",
                height - bottom,
                at + 4.0,
                top + 11.0,
                escaped(what)
            );
        }
        for line in &self.lines {
            self.draw(&mut svg, line, &x, &y);
        }
        svg += "</svg>\n";
        Some(svg)
    }

    fn draw_axes(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (width, height) = SIZE;
        let (left, right, top, bottom) = ROOM;
        let (end, base) = (width - right, height - bottom);
        for tick in x.ticks() {
            let at = x.place(tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {top}V{base}\"/>\
                 <text class=\"middle\" x=\"{at:.1}\" y=\"{}\">{}</text>",
                base + 15.0,
                short(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {at:.1}H{end}\"/><text class=\"end\" x=\"{}\" \
                 y=\"{:.1}\">{}</text>",
                left - 6.0,
                at + 4.0,
                short(tick)
            );
        }
        let middle = f64::midpoint(top, base);
        let _ = writeln!(
            svg,
            "<text class=\"middle label\" x=\"{}\" y=\"{}\">{}</text><text class=\"middle label\" \
             transform=\"translate(12 {middle}) rotate(-90)\">{}</text>",
            f64::midpoint(left, end),
            height - 6.0,
            escaped(self.x.label),
            escaped(self.y.label)
        );
    }

    fn draw(&self, svg: &mut String, line: &Line, x: &Scale, y: &Scale) {
        let dashed = if line.dashed { " dashed" } else { "" };
        let _ = write!(
            svg,
            "<g class=\"c{}{dashed}\"><path class=\"line\" d=\"",
            line.colour
        );
        for (index, point) in line.points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(
                svg,
                "{command}{:.1} {:.1}",
                x.place(point.x),
                y.place(point.y)
            );
        }
        svg.push_str("\"/>");
        for point in line.points.iter().filter(|_| self.marks_points) {
            let (px, py) = (x.place(point.x), y.place(point.y));
            if let Some((low, high)) = point.range {
                let (low, high) = (y.place(low), y.place(high));
                let _ = write!(
                    svg,
                    "<path class=\"range\" d=\"M{px:.1} {low:.1}V{high:.1}\"/>"
                );
            }
            let _ = write!(
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
        svg.push_str("</g>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Axis = Axis {
        label: "a <b>",
        log: true,
    };
    const LINEAR: Axis = Axis {
        label: "µs",
        log: false,
    };

    #[test]
    fn values_are_between_the_ends_of_their_axis_and_in_order() {
        let values = [1.0, 3.0, 40.0, 1000.0];
        for axis in [LOG, LINEAR] {
            let scale = Scale::new(axis, values.into_iter(), (10.0, 110.0)).expect("values");
            let places = values.map(|value| scale.place(value));
            assert!(places.is_sorted() && places[0] >= 10.0 && places[3] <= 110.0);
            let ticks = scale.ticks();
            assert!((3..=7).contains(&ticks.len()), "{ticks:?}");
            assert!(
                ticks
                    .iter()
                    .all(|tick| (scale.from..=scale.to).contains(tick))
            );
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
    fn a_picture_has_its_lines_and_nothing_that_is_markup_by_accident() {
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
            marks_points: true,
            events: vec![(2.0, "killed".to_owned())],
        };
        let page = chart.figure();
        assert!(page.contains("class=\"c3 dashed\"") && page.contains(">killed</text>"));
        assert_eq!(page.matches("<circle").count(), 2);
        assert!(!page.contains("<s>") && !page.contains("<b>") && page.contains("x &amp; y"));
        let empty = Chart {
            lines: Vec::new(),
            ..chart
        };
        assert_eq!(empty.figure(), "", "nothing was measured");
    }

    #[test]
    fn a_single_value_is_told_as_well() {
        let scale = |values: &[f64]| Scale::new(LOG, values.iter().copied(), (0.0, 1.0));
        let labels = |values: &[f64]| {
            let ticks = scale(values).expect("there are values").ticks();
            ticks.into_iter().map(short).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[64.0]), ["64"]);
        assert_eq!(labels(&[64.0, 256.0]), ["100", "200"]);
    }
}
