//! The HTML elements of a page. All text passes through `escaped`, so that a name never becomes markup.

use std::fmt;

use crate::text::is_harmless;

/// An element with its content.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    inside: String,
}

/// Elements without an end tag. Source: the HTML standard, void elements.
const VOID: [&str; 2] = ["meta", "br"];

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: String::new(), inside: String::new() }
    }

    /// Makes an element with a class.
    pub(super) fn of(name: &'static str, class: &str) -> Self {
        Self::new(name).with("class", class)
    }

    /// Makes a style element. The sheet is not escaped, so it must be compiled into kage (`'static`).
    pub(super) fn style(sheet: &'static str) -> Self {
        Self { inside: sheet.to_owned(), ..Self::new("style") }
    }

    #[must_use]
    pub(super) fn with(mut self, attribute: &'static str, value: impl fmt::Display) -> Self {
        self.attributes += &format!(" {attribute}=\"{}\"", escaped(&value.to_string()));
        self
    }

    #[must_use]
    pub(super) fn text(mut self, text: &str) -> Self {
        self.inside += &escaped(text);
        self
    }

    /// Adds a name in any script. `bdi` keeps a right-to-left name from reordering the text around it.
    #[must_use]
    pub(super) fn name(self, name: &str) -> Self {
        self.child(Self::new("bdi").text(name))
    }

    #[must_use]
    pub(super) fn child(self, child: Self) -> Self {
        self.children([child])
    }

    #[must_use]
    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        for child in children {
            self.inside += &child.to_string();
        }
        self
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attributes, inside } = self;
        if VOID.contains(name) {
            write!(f, "<{name}{attributes}>")
        } else {
            write!(f, "<{name}{attributes}>{inside}</{name}>")
        }
    }
}

/// The text, escaped for use between elements and in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' => safe.push('\n'),
            // HTML forbids some control characters, even as references; others change the text direction.
            odd if !is_harmless(odd) => safe.push('\u{fffd}'),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_an_element_and_in_an_attribute() {
        let odd = "<script>alert(1)</script>&\"'\u{1b}\u{0}";
        let safe = "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}";
        let element = Element::new("p").with("title", odd).text(odd).child(Element::new("b").name(odd));
        let expected = format!("<p title=\"{safe}\">{safe}<b><bdi>{safe}</bdi></b></p>");
        assert_eq!(element.to_string(), expected);
        assert_eq!(Element::new("meta").with("charset", "utf-8").to_string(), "<meta charset=\"utf-8\">");
    }
}
