//! Finds matches by trying every way, the greediest first, within a bounded number of steps.

use super::syntax::is_word;
use super::{Captures, Node, RegexError};

/// Steps of one search; expressions of scripts need hundreds, a hostile one is stopped.
const STEPS: u32 = 2_000_000;
/// Depth of the search, which is depth of the stack.
const DEPTH: u32 = 400;

/// What is done after a part has matched; true ends the search.
type Then<'t> = &'t mut dyn FnMut(&mut Search<'_>, usize) -> bool;

struct Search<'t> {
    text: &'t [u8],
    captures: Captures,
    steps: u32,
    depth: u32,
    exceeded: bool,
}

pub(super) fn find(
    node: &Node,
    groups: usize,
    text: &[u8],
    from: usize,
    any: bool,
) -> Result<Option<Captures>, RegexError> {
    let mut search = Search { text, captures: vec![None; groups + 1], steps: STEPS, depth: 0, exceeded: false };
    for start in from..=text.len() {
        let mut best: Option<Captures> = None;
        search.captures.fill(None);
        search.node(node, start, &mut |search, end| {
            let longer = best.as_ref().and_then(|best| best[0]).is_none_or(|(_, best_end)| end > best_end);
            if longer {
                let mut captures = search.captures.clone();
                captures[0] = Some((start, end));
                best = Some(captures);
            }
            any || end == search.text.len()
        });
        if search.exceeded {
            return Err(RegexError("a regular expression that takes too long".to_owned()));
        }
        if best.is_some() {
            return Ok(best);
        }
    }
    Ok(None)
}

impl Search<'_> {
    fn node(&mut self, node: &Node, at: usize, then: Then<'_>) -> bool {
        if self.steps == 0 || self.depth >= DEPTH {
            self.exceeded = true;
            return true;
        }
        self.steps -= 1;
        self.depth += 1;
        let stop = self.node_within(node, at, then);
        self.depth -= 1;
        stop
    }

    fn node_within(&mut self, node: &Node, at: usize, then: Then<'_>) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.text.get(at)).copied().is_some_and(is_word);
        let after = self.text.get(at).copied().is_some_and(is_word);
        match node {
            Node::Empty => then(self, at),
            Node::Byte(_) | Node::Any | Node::Set(_) => self.single(node, at) && then(self, at + 1),
            Node::Start => at == 0 && then(self, at),
            Node::End => at == self.text.len() && then(self, at),
            Node::WordStart => !before && after && then(self, at),
            Node::WordEnd => before && !after && then(self, at),
            Node::WordBoundary => before != after && then(self, at),
            Node::NotWordBoundary => before == after && then(self, at),
            Node::Group(inner, group) => {
                let old = self.captures[*group];
                let stop = self.node(inner, at, &mut |search, end| {
                    let outer = search.captures[*group].replace((at, end));
                    let stop = then(search, end);
                    if !stop {
                        search.captures[*group] = outer;
                    }
                    stop
                });
                if !stop {
                    self.captures[*group] = old;
                }
                stop
            }
            Node::Sequence(nodes) => self.sequence(nodes, at, then),
            Node::Either(all) => all.iter().any(|node| self.node(node, at, then)),
            Node::Repeat { node, least, most } if is_single(node) => self.run_of(node, at, (*least, *most), then),
            Node::Repeat { node, least, most } => self.repeat(node, at, (*least, *most), then),
            Node::Back(group) => {
                let Some((start, end)) = self.captures[*group] else { return false };
                let length = end - start;
                self.text[at..].starts_with(&self.text[start..end]) && then(self, at + length)
            }
        }
    }

    fn single(&self, node: &Node, at: usize) -> bool {
        match (node, self.text.get(at)) {
            (Node::Byte(own), Some(byte)) => own == byte,
            (Node::Any, Some(_)) => true,
            (Node::Set(set), Some(byte)) => set[usize::from(*byte)],
            _ => false,
        }
    }

    fn sequence(&mut self, nodes: &[Node], at: usize, then: Then<'_>) -> bool {
        match nodes {
            [] => then(self, at),
            [node] => self.node(node, at, then),
            [node, rest @ ..] => self.node(node, at, &mut |search, end| search.sequence(rest, end, then)),
        }
    }

    /// Repeats something one byte long, without going deeper for each byte.
    fn run_of(&mut self, node: &Node, at: usize, (least, most): (u32, u32), then: Then<'_>) -> bool {
        let mut count = 0_u32;
        while count < most && self.single(node, at + count as usize) {
            count += 1;
        }
        loop {
            if count < least {
                return false;
            }
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 {
                self.exceeded = true;
                return true;
            }
            if then(self, at + count as usize) {
                return true;
            }
            if count == 0 {
                return false;
            }
            count -= 1;
        }
    }

    fn repeat(&mut self, node: &Node, at: usize, (least, most): (u32, u32), then: Then<'_>) -> bool {
        if most > 0 {
            let next = (least.saturating_sub(1), if most == u32::MAX { most } else { most - 1 });
            let stop = self.node(node, at, &mut |search, end| {
                // An empty round would go on forever.
                (end > at || least > 0) && search.repeat(node, end, next, then)
            });
            if stop {
                return true;
            }
        }
        least == 0 && then(self, at)
    }
}

fn is_single(node: &Node) -> bool {
    matches!(node, Node::Byte(_) | Node::Any | Node::Set(_))
}
