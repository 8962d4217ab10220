//! An SVG under construction.

use std::fmt::Write as _;

/// The shapes drawn so far, the later ones on top.
#[derive(Default)]
pub(super) struct Canvas(String);

/// Where a text stands relative to its point, and how it looks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) is_bold: bool,
    /// `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
}

impl Style {
    /// Small, black, to the right of its point.
    pub(super) const PLAIN: Self = Self { size: 9.0, colour: "#000", is_bold: false, anchor: "start" };
}

// Writing to a string cannot fail.
impl Canvas {
    pub(super) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        colour: &str,
        opacity: f64,
    ) {
        let _infallible = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" \
             fill-opacity=\"{opacity}\"/>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _infallible = writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), style: Style, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let Style { size, colour, is_bold, anchor } = style;
        let weight = if is_bold { "bold" } else { "normal" };
        let _infallible = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" font-weight=\"{weight}\" \
             text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// The picture, on white.
    pub(super) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"DejaVu Sans, Arial, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            self.0
        )
    }
}
