//! A story as one file of HTML that needs nothing else: lanes with bars and marks, and the story beside them.
//!
//! Invariant: every text that comes from a world is escaped, and the page asks for nothing from anywhere.

mod axis;

use std::fmt::Write as _;

use super::Report;
use super::plain::{Tone, span};
use super::timeline::{self, Item, Kind, Timeline};
use crate::clock::SimTime;
use crate::world::Outcome;

use axis::Axis;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Draws what happened in a world whose story was told.
pub fn html(name: &str, outcome: &Outcome, report: Option<&Report>) -> String {
    let (story, cast) = (&outcome.story, &outcome.cast);
    let mut timeline = Timeline::of(story, cast, outcome.nodes);
    let title = match report {
        Some(report) => format!("{name} breaks a promise: {}", report.broken),
        None => format!("{name}: nothing breaks"),
    };
    if let Some(report) = report {
        let text = format!("{}: {}", report.broken, report.detail);
        timeline.breaks(outcome.nodes, &text);
    }
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        title = escaped(&title)
    );
    head(&mut page, outcome, report);
    chart(&mut page, &timeline);
    let rows = timeline::rows(story, cast);
    listing(&mut page, &rows, report);
    let _ = write!(page, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

fn head(page: &mut String, outcome: &Outcome, report: Option<&Report>) {
    if let Some(report) = report {
        let _ = writeln!(page, "<p class=\"detail\">{}</p>", escaped(&report.detail));
        for line in &report.reproduce {
            let _ = writeln!(page, "<p><code>{}</code></p>", escaped(line));
        }
    }
    let _ = writeln!(
        page,
        "<p class=\"quiet\">{} nodes, {} runs, {} events, {} operations, {} faults; {}</p>",
        outcome.nodes,
        outcome.runs,
        outcome.events,
        outcome.operations,
        outcome.faults,
        escaped(&Report::build())
    );
}

/// The lanes. Positions are numbers in the style, so that zooming is a matter of one variable.
fn chart(page: &mut String, timeline: &Timeline) {
    let times = timeline
        .items
        .iter()
        .flat_map(|item| [Some(item.from), item.to]);
    let axis = Axis::over(times.flatten().map(|at| at.min(timeline.end)));
    page.push_str(
        "<div class=\"tools\"><button type=\"button\" id=\"closer\">Zoom in</button>\
         <button type=\"button\" id=\"farther\">Zoom out</button>\
         <span class=\"quiet\">Long silences are cut short. Left and right go from one thing to the next.</span></div>\n",
    );
    legend(page);
    let _ = writeln!(
        page,
        "<div class=\"chart\" style=\"--wide:{}\">",
        axis.width()
    );
    page.push_str("<div class=\"lane times\"><div class=\"name\">time</div><div class=\"track\">");
    for (at, x) in axis.ticks() {
        let _ = write!(
            page,
            "<span class=\"tick\" style=\"--a:{x}\">+{}</span>",
            span(at.0)
        );
    }
    page.push_str("</div></div>\n");
    for (index, name) in timeline.lanes.iter().enumerate() {
        let on_lane = timeline.items.iter().filter(|item| item.lane == index);
        lane(page, name, on_lane.collect(), &axis, timeline.end);
    }
    page.push_str("</div>\n<p id=\"about\" class=\"about\" role=\"status\">Point at something, or go to it with the keyboard.</p>\n");
}

fn legend(page: &mut String) {
    page.push_str("<p class=\"legend\">");
    for kind in [
        Kind::Process,
        Kind::Frozen,
        Kind::Body,
        Kind::Lease,
        Kind::InDoubt,
        Kind::Outage,
        Kind::Commit,
        Kind::Fault,
        Kind::Violation,
    ] {
        let name = kind.name();
        let _ = write!(page, "<span class=\"key {name}\"></span>{name} ");
    }
    page.push_str("</p>\n");
}

/// One lane: bars below each other where they overlap, marks on the first line.
fn lane(page: &mut String, name: &str, mut items: Vec<&Item>, axis: &Axis, end: SimTime) {
    items.sort_by_key(|item| (item.from, item.to.is_some()));
    let mut free: Vec<f64> = Vec::new();
    let mut drawn = String::new();
    for item in items {
        let a = axis.at(item.from);
        let (row, b) = match item.to {
            None => (0, a),
            Some(to) => {
                let b = axis.at(to.min(end)).max(a + axis::LEAST);
                let row = free.iter().position(|until| *until <= a);
                let row = row.unwrap_or_else(|| {
                    free.push(0.0);
                    free.len() - 1
                });
                free[row] = b;
                (row + 1, b)
            }
        };
        let until = match item.to {
            None => String::new(),
            Some(to) if to > end => " until the end".into(),
            Some(to) => format!(" until +{}", span(to.0)),
        };
        let about = format!("+{}{until}: {}", span(item.from.0), item.detail);
        let about = escaped(&about);
        let label = if item.to.is_some() {
            escaped(&item.label)
        } else {
            String::new()
        };
        let _ = write!(
            drawn,
            "<button type=\"button\" class=\"item {}\" style=\"--a:{a};--b:{b};--row:{row}\" \
             data-at=\"{a}\" title=\"{about}\" aria-label=\"{about}\">{label}</button>",
            item.kind.name()
        );
    }
    let rows = free.len() + 1;
    let _ = writeln!(
        page,
        "<div class=\"lane\" style=\"--rows:{rows}\"><div class=\"name\">{}</div><div class=\"track\">{drawn}</div></div>",
        escaped(name)
    );
}

fn listing(page: &mut String, rows: &[(String, Tone, String)], report: Option<&Report>) {
    page.push_str("<h2>What happened</h2>\n<table>\n");
    for (at, tone, text) in rows {
        let class = match tone {
            Tone::Fault => "told-fault",
            Tone::Landed => "told-landed",
            Tone::Aside => "told-aside",
        };
        let (at, text) = (escaped(at), escaped(text));
        let _ = writeln!(
            page,
            "<tr class=\"{class}\"><td>{at}</td><td>{text}</td></tr>"
        );
    }
    if let Some(report) = report {
        let (at, broken) = (escaped(&report.at), escaped(&report.broken));
        let _ = writeln!(
            page,
            "<tr class=\"told-broken\"><td>+{at}</td><td>BROKEN: {broken}</td></tr>"
        );
    }
    page.push_str("</table>\n");
}

/// A text in which nothing is markup, between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use squid_mesh_core::mutant::Mutation;

    use super::*;
    use crate::choice::Choices;
    use crate::settings::Profile;
    use crate::trace::Trace;
    use crate::world::World;

    fn page(name: &str) -> String {
        let choices = Choices::seeded(5);
        let world = World::new(choices, Profile::PullRequest, Mutation::NONE, Trace::told());
        html(name, &world.run_for(200), None)
    }

    /// Every tag that is opened is closed, in order.
    fn balanced(page: &str) -> bool {
        const EMPTY: [&str; 3] = ["meta", "!doctype", "br"];
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[..end];
            let name = tag.split([' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(closed) if open.pop() != Some(closed) => return false,
                None if !EMPTY.contains(&name) => open.push(name),
                Some(_) | None => {}
            }
            rest = &rest[end + 1..];
            if name == "script" || name == "style" {
                rest = &rest[rest.find("</").expect("it is closed")..];
            }
        }
        open.is_empty()
    }

    #[test]
    fn every_tag_is_closed_and_nothing_comes_from_elsewhere() {
        let page = page("seed 5");
        assert!(balanced(&page));
        assert!(!balanced("<p><b></p></b>"));
        for elsewhere in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        assert!(page.contains("class=\"item commit\"") && page.contains("class=\"item lease\""));
    }

    #[test]
    fn what_a_world_says_is_no_markup() {
        let page = page("<script>alert(\"1\")</script> & 'co'");
        assert!(!page.contains("<script>alert"));
        assert!(
            page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;co&#39;")
        );
        assert!(balanced(&page));
    }
}
