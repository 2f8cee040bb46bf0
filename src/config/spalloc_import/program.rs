//! Statement after statement: names are given values, imports are passed over, what else a program does is written down.

use super::Doubts;
use super::evaluate::Evaluator;
use super::machine::Setup;
use super::syntax::{Expr, Form, Kind, Parser};
use super::token::{Line, Token, Word, lines};
use super::value::Value;
use std::rc::Rc;

/// Modules whose names are in scope anyway.
const OWN_MODULE: &str = "spalloc_server";
/// Words that go on with a statement of several lines.
const GO_ON: &[&str] = &["elif", "else", "except", "finally"];
/// Words with which a statement begins that only names something.
const DEFINITIONS: &[&str] = &["def", "class"];
/// Operators that change what a name stands for.
const CHANGES: &[(&str, &str)] =
    &[("+=", "+"), ("-=", "-"), ("*=", "*"), ("|=", "|"), ("&=", "&"), ("%=", "%")];

/// Reads a program, and answers the configuration it defines.
pub fn run(text: &str, file: &dyn Fn(&str) -> Result<String, String>, doubts: &mut Doubts) -> Rc<Setup> {
    let lines = lines(text);
    let mut program = Program { evaluator: Evaluator::new(doubts, file) };
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let block = block_length(&lines, next);
        if block > 1 {
            program.compound(lines.get(next..next + block).unwrap_or_default());
        } else {
            let parts = line.tokens.split(|token| token.word == Word::Mark(";"));
            parts.filter(|part| !part.is_empty()).for_each(|part| program.statement(part));
        }
        next += block;
    }
    program.finish()
}

/// How many lines belong to the statement that begins with a line.
fn block_length(lines: &[Line], start: usize) -> usize {
    let goes_on = |line: &Line| {
        let first = line.tokens.first().map(|token| &token.word);
        line.indent > 0 || matches!(first, Some(Word::Name(name)) if GO_ON.contains(name))
    };
    // A decorator belongs to what it decorates.
    let decorators =
        lines.iter().skip(start).take_while(|line| is_first(&line.tokens, &Word::Mark("@"))).count();
    let rest = lines.iter().skip(start + decorators + 1);
    (1 + decorators + rest.take_while(|line| goes_on(line)).count()).min(lines.len() - start)
}

fn is_first(tokens: &[Token], word: &Word) -> bool {
    tokens.first().is_some_and(|token| token.word == *word)
}

/// A program being read.
struct Program<'t, 'd> {
    evaluator: Evaluator<'t, 'd>,
}

impl<'t> Program<'t, '_> {
    /// What `configuration` stands for in the end.
    fn finish(self) -> Rc<Setup> {
        let Evaluator { mut names, doubts, .. } = self.evaluator;
        let (setup, needed) = match names.remove("configuration") {
            Some(Value::Setup(setup)) => (setup.clone(), setup.doubts.clone()),
            Some(Value::Unknown(doubt)) => (Rc::default(), vec![doubt]),
            other => {
                let what = other.map_or("nothing", |value| value.noun());
                doubts.add_grave(0, format!("'configuration' must be a Configuration; it is {what}"));
                (Rc::default(), Vec::new())
            }
        };
        needed.into_iter().for_each(|doubt| doubts.need(doubt));
        setup
    }

    /// A statement of several lines: it is not understood, nor is what it may have changed.
    fn compound(&mut self, lines: &[Line<'t>]) {
        let first = lines.iter().find(|line| !is_first(&line.tokens, &Word::Mark("@")));
        let [Token { at, word: Word::Name(keyword) }, rest @ ..] =
            first.map_or(&[][..], |line| &line.tokens[..])
        else {
            let at = lines.first().and_then(|line| line.tokens.first()).map_or(0, |token| token.at);
            return self.evaluator.doubts.add_grave(at, "these lines are not understood");
        };
        let unknown =
            self.evaluator.doubt(*at, format!("'{keyword}' and what belongs to it are not understood"));
        if let (true, Some(Token { word: Word::Name(name), .. })) =
            (DEFINITIONS.contains(keyword), rest.first())
        {
            // It matters when somebody uses it.
            self.evaluator.names.insert(name, unknown);
            return;
        }
        if let Value::Unknown(doubt) = unknown {
            self.evaluator.doubts.need(doubt);
        }
        for line in lines {
            self.forget_changed(&line.tokens, &unknown);
        }
    }

    /// Names that a statement may give values to, or change what they hold, are not known any more.
    fn forget_changed(&mut self, tokens: &[Token<'t>], unknown: &Value) {
        for (place, token) in tokens.iter().enumerate() {
            let Word::Name(name) = token.word else { continue };
            let next = tokens.get(place + 1).map(|token| &token.word);
            let assigned = matches!(next, Some(Word::Mark("=" | "." | "[" | "," | ":=" | "in")))
                || matches!(next, Some(Word::Name("in")) | Some(Word::Mark(":")))
                || matches!(next, Some(Word::Mark(mark)) if mark.len() > 1 && mark.ends_with('='));
            let is_class = matches!(self.evaluator.names.get(name), Some(Value::Function(_) | Value::Links));
            let is_keyword_argument = matches!(next, Some(Word::Mark("="))) && place > 0;
            if assigned && !is_keyword_argument && !(is_class && matches!(next, Some(Word::Mark(".")))) {
                self.evaluator.names.insert(name, unknown.clone());
            }
        }
    }

    /// A statement on one line.
    fn statement(&mut self, tokens: &[Token<'t>]) {
        let Some(first) = tokens.first() else { return };
        match first.word {
            Word::Name("import" | "from") => self.import(tokens),
            Word::Name("pass") if tokens.len() == 1 => {}
            Word::Text(_) if tokens.len() == 1 => {}
            Word::Name("def" | "class" | "for" | "while" | "if" | "with" | "try" | "async") => {
                self.compound(&[Line { indent: 0, tokens: tokens.to_vec() }]);
            }
            _ => self.assignment(tokens),
        }
    }

    /// An import gives names; what they stand for is not known, unless they are in scope anyway.
    fn import(&mut self, tokens: &[Token<'t>]) {
        let mut words = tokens.iter().map(|token| &token.word);
        let is_from = words.next() == Some(&Word::Name("from"));
        let own = matches!(words.next(), Some(Word::Name(module)) if *module == OWN_MODULE);
        let start = tokens.iter().position(|token| token.word == Word::Name("import")).unwrap_or(0);
        let Some(named) = tokens.get(start + 1..) else { return };
        for item in named.split(|token| token.word == Word::Mark(",")) {
            let names = item.iter().filter_map(|token| match token.word {
                Word::Name(name) => Some((token.at, name)),
                _ => None,
            });
            let names: Vec<_> = names.collect();
            let renamed = names.iter().rev().nth(1).filter(|(_, name)| *name == "as").is_some();
            let (Some((at, original)), Some((_, last))) = (names.first().copied(), names.last().copied())
            else {
                continue;
            };
            let known = self.evaluator.names.get(original).filter(|_| is_from && own).cloned();
            let name = if renamed || is_from { last } else { original };
            let value = known.unwrap_or_else(|| {
                self.evaluator.doubt(at, format!("'{name}' is imported and not known here"))
            });
            self.evaluator.names.insert(name, value);
        }
    }

    /// `name = value`, `name += value`, and expressions that change a container.
    fn assignment(&mut self, tokens: &[Token<'t>]) {
        let mut depth = 0_usize;
        let mut cuts = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            match token.word {
                Word::Mark("(" | "[" | "{") => depth += 1,
                Word::Mark(")" | "]" | "}") => depth = depth.saturating_sub(1),
                Word::Mark("=") if depth == 0 => cuts.push(place),
                Word::Mark(mark) if depth == 0 && CHANGES.iter().any(|(change, _)| *change == mark) => {
                    return self.change(tokens, place, mark);
                }
                _ => {}
            }
        }
        let Some(last) = cuts.last().copied() else { return self.expression(tokens) };
        let value = match Parser::new(tokens.get(last + 1..).unwrap_or_default()).whole() {
            Ok(expr) => {
                let value = self.evaluator.value(&expr);
                (value, is_fresh(&expr) && cuts.len() == 1)
            }
            Err(fault) => (self.evaluator.doubt(fault.at, fault.what), false),
        };
        let mut start = 0;
        for cut in cuts {
            self.assign(tokens.get(start..cut).unwrap_or_default(), &value.0, value.1);
            start = cut + 1;
        }
    }

    /// Gives a value to what stands left of the sign.
    fn assign(&mut self, target: &[Token<'t>], value: &Value, fresh: bool) {
        // A note about the type of the name says nothing of its value.
        let target = match target {
            [name, Token { word: Word::Mark(":"), .. }, ..] => std::slice::from_ref(name),
            other => other,
        };
        match Parser::new(target).whole() {
            Ok(Expr { kind: Kind::Name(name), .. }) => self.set(name, value.clone(), fresh),
            Ok(Expr { at, kind: Kind::Container(Form::Tuple | Form::List, targets), .. }) => {
                let names: Option<Vec<&'t str>> = targets.iter().map(name_of).collect();
                let values = value.members().filter(|values| values.len() == targets.len());
                match (names, values) {
                    (Some(names), Some(values)) => {
                        names.into_iter().zip(values).for_each(|(name, value)| self.set(name, value, false));
                    }
                    _ => self.give_up(target, at, "this assignment is not understood"),
                }
            }
            Ok(Expr { at, kind: Kind::Index(of, index), .. }) => {
                self.set_part(target, at, &of, &index, value)
            }
            Ok(other) => self.give_up(target, other.at, "this assignment is not understood"),
            Err(fault) => self.give_up(target, fault.at, &fault.what),
        }
    }

    fn set(&mut self, name: &'t str, value: Value, fresh: bool) {
        match fresh {
            true => self.evaluator.shared.remove(name),
            false => self.evaluator.shared.insert(name),
        };
        self.evaluator.names.insert(name, value);
    }

    /// `name[key] = value` of a dict that nothing else holds.
    fn set_part(&mut self, target: &[Token<'t>], at: usize, of: &Expr<'t>, index: &Expr<'t>, value: &Value) {
        let key = self.evaluator.value(index);
        let dict = match &of.kind {
            Kind::Name(name) => self.changeable(name).map(|value| (*name, value)),
            _ => None,
        };
        match dict {
            Some((name, Value::Dict(items))) => {
                let items = items.items.iter().cloned().chain([key, value.clone()]).collect();
                let dict = self.evaluator.container(at, Form::Dict, items);
                self.set(name, dict, true);
            }
            _ => self.give_up(target, at, "this assignment is not understood"),
        }
    }

    /// What a name stands for, if it may be changed: nothing else holds it, so a change is seen through this name alone.
    fn changeable(&self, name: &str) -> Option<Value> {
        self.evaluator.names.get(name).filter(|_| !self.evaluator.shared.contains(name)).cloned()
    }

    /// `name += value` and the like.
    fn change(&mut self, tokens: &[Token<'t>], place: usize, mark: &str) {
        let op = CHANGES.iter().find(|(change, _)| *change == mark).map_or("", |(_, op)| op);
        let parsed = (
            Parser::new(tokens.get(..place).unwrap_or_default()).whole(),
            Parser::new(tokens.get(place + 1..).unwrap_or_default()).whole(),
        );
        let at = tokens.first().map_or(0, |token| token.at);
        let (Ok(Expr { kind: Kind::Name(name), .. }), Ok(right)) = parsed else {
            return self.give_up(tokens, at, "this change is not understood");
        };
        let before = self.evaluator.names.get(name).cloned();
        let holds = matches!(before, Some(Value::List(_) | Value::Set(_) | Value::Dict(_)));
        match before {
            Some(before) if !holds || self.changeable(name).is_some() => {
                let right = self.evaluator.value(&right);
                // A list takes whatever can be gone through.
                let right = match (&before, op, right.members()) {
                    (Value::List(_), "+", Some(members)) => self.evaluator.container(at, Form::List, members),
                    _ => right,
                };
                let value = self.evaluator.operate(at, before, op, right);
                self.set(name, value, holds);
            }
            _ => self.give_up(
                tokens,
                at,
                "this changes what other names may stand for too, which is not understood",
            ),
        }
    }

    /// An expression on its own; only those are understood that add to a container.
    fn expression(&mut self, tokens: &[Token<'t>]) {
        let expr = match Parser::new(tokens).whole() {
            Ok(expr) => expr,
            Err(fault) => return self.give_up(tokens, fault.at, &fault.what),
        };
        let Some((name, method, arg)) = method_call(&expr) else {
            return self.give_up(tokens, expr.at, "this statement is not understood");
        };
        let value = self.evaluator.value(arg);
        let at = expr.at;
        let (form, mut items) = match self.changeable(name) {
            Some(Value::List(items)) => (Form::List, items.items.clone()),
            Some(Value::Set(items)) => (Form::Set, items.items.clone()),
            Some(Value::Dict(items)) => (Form::Dict, items.items.clone()),
            _ => return self.give_up(tokens, at, "this changes something in a way that is not understood"),
        };
        match (form, method, &value) {
            (Form::List, "append", _) | (Form::Set, "add", _) => items.push(value),
            (Form::Dict, "update", Value::Dict(more)) => items.extend(more.items.iter().cloned()),
            (Form::List, "extend", _) | (Form::Set, "update", _) => {
                match self.evaluator.members(at, &value) {
                    Ok(members) => items.extend(members),
                    Err(unknown) => items.push(unknown),
                }
            }
            _ => return self.give_up(tokens, at, "this changes something in a way that is not understood"),
        }
        let changed = self.evaluator.container(at, form, items);
        self.set(name, changed, true);
    }

    fn give_up(&mut self, tokens: &[Token<'t>], at: usize, what: &str) {
        let unknown = self.evaluator.doubt(at, what);
        if let Value::Unknown(doubt) = unknown {
            self.evaluator.doubts.need(doubt);
        }
        self.forget_changed(tokens, &unknown);
    }
}

fn name_of<'t>(expr: &Expr<'t>) -> Option<&'t str> {
    match expr.kind {
        Kind::Name(name) => Some(name),
        _ => None,
    }
}

/// `name.method(argument)`.
fn method_call<'e, 't>(expr: &'e Expr<'t>) -> Option<(&'t str, &'t str, &'e Expr<'t>)> {
    let Kind::Call(callee, args) = &expr.kind else { return None };
    let (Kind::Attribute(of, method), [(None, arg)]) = (&callee.kind, &args[..]) else { return None };
    Some((name_of(of)?, method, arg))
}

/// Whether an expression makes a container that nothing else can hold.
fn is_fresh(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Container(..) | Kind::Dict(_) | Kind::Comprehension(..) => true,
        Kind::Call(callee, _) => matches!(callee.kind, Kind::Name("set" | "list" | "dict" | "sorted")),
        _ => false,
    }
}
