//! Line plots as SVG, written by hand: their colours follow the reader's light or dark page by a
//! media query, which the plotting crates cannot do.

use crate::table::grouped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Room around the plot: left, right (for the lines' names), top, bottom.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 55.0;

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .floor { --c: #6e7781 } .hasses { --c: #0969da } .nchan { --c: #bc4c00 }
  .line, .dot { stroke: var(--c) } .dot, .name { fill: var(--c) } .name { font-weight: 600 }
  .line.floor { stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d }
    .floor { --c: #9198a1 } .hasses { --c: #58a6ff } .nchan { --c: #f0883e }
  }";

/// One server's points.
#[derive(Debug)]
pub(crate) struct Line {
    /// Also the class that has its colour.
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) x: &'static str,
    pub(crate) lines: Vec<Line>,
}

impl Plot {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let step_x = step(all().map(|point| point.0).fold(1.0, f64::max));
        let step_y = step(all().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max));
        let end = |most: f64, step: f64| (most / step).ceil() * step;
        let most_x = all().map(|point| point.0).fold(1.0, f64::max);
        let most_y = end(all().map(|point| point.1).fold(0.0, f64::max), step_y);
        let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}\n</style>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"24\">{0}, {1}</text>\n",
            self.title, self.unit
        );
        for value in steps(step_y, most_y) {
            let at = y(value);
            svg += &format!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                number(value, step_y)
            );
        }
        for value in steps(step_x, most_x) {
            svg += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                x(value),
                HEIGHT - BOTTOM + 20.0,
                number(value, step_x)
            );
        }
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            x(most_x / 2.0),
            HEIGHT - 12.0,
            self.x
        );
        for (line, label) in self.lines.iter().zip(self.labels(y)) {
            let points = line.points.iter().map(|point| (x(point.0), y(point.1)));
            let path = points.clone().map(|(x, y)| format!("{x:.1},{y:.1}"));
            let path: Vec<String> = path.collect();
            svg += &format!(
                "<polyline class=\"line {}\" points=\"{}\"/>\n",
                line.name,
                path.join(" ")
            );
            for (x, y) in points {
                svg += &format!(
                    "<circle class=\"dot {}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>\n",
                    line.name
                );
            }
            svg += &format!(
                "<text class=\"name {0}\" x=\"{1:.1}\" y=\"{label:.1}\">{0}</text>\n",
                line.name,
                WIDTH - RIGHT + 10.0
            );
        }
        svg + "</svg>\n"
    }

    /// Where the lines' names stand: at their ends, but never one over the other.
    fn labels(&self, y: impl Fn(f64) -> f64) -> Vec<f64> {
        let ends = self
            .lines
            .iter()
            .map(|line| line.points.last().map_or(0.0, |point| y(point.1)));
        let mut places: Vec<(usize, f64)> = ends.map(|end| end + 4.0).enumerate().collect();
        places.sort_by(|a, b| b.1.total_cmp(&a.1));
        for at in 1..places.len() {
            places[at].1 = places[at].1.min(places[at - 1].1 - 16.0);
        }
        places.sort_by_key(|place| place.0);
        places.into_iter().map(|place| place.1).collect()
    }
}

/// A round step that makes four to nine of them.
fn step(most: f64) -> f64 {
    let ten = 10f64.powf((most / 4.0).log10().floor());
    [5.0, 2.0]
        .into_iter()
        .find(|times| times * ten * 4.0 <= most)
        .map_or(ten, |times| times * ten)
}

fn steps(step: f64, most: f64) -> impl Iterator<Item = f64> {
    (0..)
        .map(move |count| f64::from(count) * step)
        .take_while(move |value| *value <= most * 1.001)
}

fn number(value: f64, step: f64) -> String {
    if step < 1.0 {
        format!("{value:.1}")
    } else {
        grouped(value)
    }
}
