//! Words to expressions: the part of Python's grammar that describes things.
//!
//! Where an item of a container or an argument of a call cannot be read, `Kind::Strange` stands for it and what is around
//! it is read all the same. Nesting is bounded here, so that whoever walks an expression may call itself.

use super::token::{Token, Word};

/// How deeply brackets and signs may be nested.
const NESTED_MAX: u32 = 40;
/// How deep an expression may be in all.
const DEPTH_MAX: u32 = 100;

/// An expression and where it stands.
#[derive(Debug)]
pub struct Expr<'t> {
    /// The byte at which it begins.
    pub at: usize,
    /// What it is.
    pub kind: Kind<'t>,
    /// Levels of expressions below it.
    depth: u32,
}

/// What an expression is.
#[derive(Debug)]
pub enum Kind<'t> {
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// A text.
    Text(String),
    /// A name.
    Name(&'t str),
    /// Items in brackets, or between commas.
    Container(Form, Vec<Expr<'t>>),
    /// Keys and values in turns, in braces.
    Dict(Vec<Expr<'t>>),
    /// Items made by `for`; a dict's have a key, which stands before the value.
    Comprehension(Form, Vec<Expr<'t>>, Vec<Clause<'t>>),
    /// A name of something.
    Attribute(Box<Expr<'t>>, &'t str),
    /// A part of something.
    Index(Box<Expr<'t>>, Box<Expr<'t>>),
    /// A call, with its arguments, some of them by name.
    Call(Box<Expr<'t>>, Vec<(Option<&'t str>, Expr<'t>)>),
    /// Operators of one rank, from left to right: the first operand is beside them.
    Chain(Box<Expr<'t>>, Vec<(&'static str, Expr<'t>)>),
    /// A number with its sign turned round.
    Minus(Box<Expr<'t>>),
    /// What is not so.
    Not(Box<Expr<'t>>),
    /// Then, condition, otherwise.
    Choice(Box<[Expr<'t>; 3]>),
    /// What could not be read, and why.
    Strange(String),
}

/// What a container becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Never changed.
    Tuple,
    /// In order.
    List,
    /// Each once.
    Set,
    /// Keys with values.
    Dict,
}

/// `for names in source if conditions`.
#[derive(Debug)]
pub struct Clause<'t> {
    /// The names, nested as they are written.
    pub target: Expr<'t>,
    /// What is gone through.
    pub source: Expr<'t>,
    /// What must hold.
    pub conditions: Vec<Expr<'t>>,
}

/// Where reading stopped, and why.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The byte.
    pub at: usize,
    /// What is there.
    pub what: String,
}

/// Operators by rank, the weakest first; those of a rank are worked out from left to right.
const RANKS: &[&[&str]] = &[
    &["or"],
    &["and"],
    &["in", "not in", "is", "is not", "<", ">", "<=", ">=", "==", "!="],
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "//", "%", "@"],
];
/// The rank of `not`, which is written before its operand.
const NOT_RANK: usize = 2;
/// Words that cannot be names.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

type Read<T> = Result<T, Fault>;

/// Reads the tokens of one statement.
pub struct Parser<'p, 't> {
    tokens: &'p [Token<'t>],
    next: usize,
    nested: u32,
    end_at: usize,
}

impl<'p, 't> Parser<'p, 't> {
    /// Begins with the first token.
    pub fn new(tokens: &'p [Token<'t>]) -> Parser<'p, 't> {
        Parser { tokens, next: 0, nested: 0, end_at: tokens.last().map_or(0, |token| token.at) }
    }

    /// An expression, or several between commas, and nothing behind it.
    pub fn whole(mut self) -> Read<Expr<'t>> {
        let expr = self.open_tuple()?;
        if self.next < self.tokens.len() {
            return Err(self.fault());
        }
        Ok(expr)
    }

    fn peek(&self) -> Option<&'p Word<'t>> {
        self.tokens.get(self.next).map(|token| &token.word)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end_at, |token| token.at)
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Word::Mark(found)) if *found == mark)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Word::Name(found)) if *found == name)
    }

    fn take_mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        self.next += usize::from(found);
        found
    }

    fn take_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.next += usize::from(found);
        found
    }

    /// What stands here does not belong here.
    fn fault(&self) -> Fault {
        let what = match self.peek() {
            Some(Word::Name(name)) if KEYWORDS.contains(name) => format!("'{name}' is not understood here"),
            Some(Word::Name(name)) => format!("the name '{name}' is not expected here"),
            Some(Word::Mark(mark)) => format!("'{mark}' is not understood here"),
            Some(Word::Strange(what)) => format!("{what} is not understood"),
            Some(_) => "a value is not expected here".into(),
            None => "this ends too early".into(),
        };
        Fault { at: self.at(), what }
    }

    fn expect(&mut self, mark: &str) -> Read<()> {
        if self.take_mark(mark) { Ok(()) } else { Err(self.fault()) }
    }

    /// One or more expressions between commas.
    fn open_tuple(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        let first = self.expr()?;
        if !self.is_mark(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take_mark(",") && self.next < self.tokens.len() {
            items.push(self.expr()?);
        }
        make(at, Kind::Container(Form::Tuple, items))
    }

    /// One expression.
    fn expr(&mut self) -> Read<Expr<'t>> {
        self.nested += 1;
        let expr = if self.nested > NESTED_MAX {
            Err(Fault { at: self.at(), what: "this is nested too deeply".into() })
        } else {
            self.choice()
        };
        self.nested -= 1;
        expr
    }

    fn choice(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        let then = self.ranked(0)?;
        if !self.take_name("if") {
            return Ok(then);
        }
        let condition = self.ranked(0)?;
        if !self.take_name("else") {
            return Err(self.fault());
        }
        let otherwise = self.expr()?;
        make(at, Kind::Choice(Box::new([then, condition, otherwise])))
    }

    /// The operator that stands here, its rank, and how many tokens it has.
    fn operator(&self) -> Option<(&'static str, usize, usize)> {
        let second = self.tokens.get(self.next + 1).map(|token| &token.word);
        let (word, length) = match (self.peek()?, second) {
            (Word::Name("not"), Some(Word::Name("in"))) => ("not in", 2),
            (Word::Name("is"), Some(Word::Name("not"))) => ("is not", 2),
            (Word::Name(name), _) => (*name, 1),
            (Word::Mark(mark), _) => (*mark, 1),
            _ => return None,
        };
        let found = |ops: &&[&'static str]| ops.iter().copied().find(|op| *op == word);
        let rank = RANKS.iter().position(|ops| found(ops).is_some())?;
        Some((found(&RANKS[rank])?, rank, length))
    }

    /// Operands joined by operators of this rank or stronger ones.
    fn ranked(&mut self, rank_min: usize) -> Read<Expr<'t>> {
        let at = self.at();
        let mut left = if self.is_name("not") { self.not()? } else { self.signed()? };
        let mut left_rank = usize::MAX;
        while let Some((op, rank, length)) = self.operator().filter(|(_, rank, _)| *rank >= rank_min) {
            self.next += length;
            let right = self.ranked(rank + 1)?;
            left = match left.kind {
                // Long sums stay flat.
                Kind::Chain(first, mut rest) if left_rank == rank => {
                    let depth = left.depth.max(right.depth + 1);
                    rest.push((op, right));
                    Expr { at, kind: Kind::Chain(first, rest), depth }
                }
                kind => make(at, Kind::Chain(Box::new(Expr { kind, ..left }), vec![(op, right)]))?,
            };
            left_rank = rank;
        }
        if left.depth > DEPTH_MAX {
            return Err(Fault { at, what: "this is nested too deeply".into() });
        }
        Ok(left)
    }

    fn not(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        self.next += 1;
        self.deeper(|parser| make(at, Kind::Not(Box::new(parser.ranked(NOT_RANK)?))))
    }

    fn signed(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        if self.take_mark("-") {
            return self.deeper(|parser| make(at, Kind::Minus(Box::new(parser.signed()?))));
        }
        if self.take_mark("+") {
            return self.deeper(|parser| parser.signed());
        }
        self.parts()
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read<Expr<'t>>) -> Read<Expr<'t>> {
        self.nested += 1;
        let fault = Fault { at: self.at(), what: "this is nested too deeply".into() };
        let expr = if self.nested > NESTED_MAX { Err(fault) } else { read(self) };
        self.nested -= 1;
        expr
    }

    /// An atom with names, calls and indexes behind it.
    fn parts(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        let mut expr = self.atom()?;
        loop {
            let kind = if self.take_mark(".") {
                let Some(Word::Name(name)) = self.peek() else { return Err(self.fault()) };
                self.next += 1;
                Kind::Attribute(Box::new(expr), name)
            } else if self.take_mark("(") {
                let args = self.arguments()?;
                Kind::Call(Box::new(expr), args)
            } else if self.take_mark("[") {
                let index = self.index()?;
                Kind::Index(Box::new(expr), Box::new(index))
            } else {
                return Ok(expr);
            };
            expr = make(at, kind)?;
        }
    }

    /// What stands in the brackets behind a value; several things are a tuple.
    fn index(&mut self) -> Read<Expr<'t>> {
        let at = self.at();
        let mut items = vec![self.item("]")];
        let is_tuple = self.is_mark(",");
        while self.take_mark(",") && !self.is_mark("]") {
            items.push(self.item("]"));
        }
        self.expect("]")?;
        match items.pop() {
            Some(only) if !is_tuple => Ok(only),
            last => {
                items.extend(last);
                make(at, Kind::Container(Form::Tuple, items))
            }
        }
    }

    fn arguments(&mut self) -> Read<Vec<(Option<&'t str>, Expr<'t>)>> {
        let mut args = Vec::new();
        while !self.take_mark(")") {
            let second = self.tokens.get(self.next + 1).map(|token| &token.word);
            let name = match (self.peek(), second) {
                (Some(Word::Name(name)), Some(Word::Mark("="))) => {
                    self.next += 2;
                    Some(*name)
                }
                _ => None,
            };
            let item = self.item(")");
            let is_generator = name.is_none() && self.is_name("for");
            let item = if is_generator { self.comprehension(Form::List, vec![item])? } else { item };
            args.push((name, item));
            if !self.take_mark(",") && !self.is_mark(")") {
                return Err(self.fault());
            }
        }
        Ok(args)
    }

    /// An item of a container or a call. What cannot be read is skipped, up to the next comma or the end.
    fn item(&mut self, close: &str) -> Expr<'t> {
        let start = self.next;
        let fault = match self.expr() {
            Ok(expr) if self.is_end_of_item(close) => return expr,
            Ok(_) => self.fault(),
            Err(fault) => fault,
        };
        self.next = start;
        self.skip_item();
        Expr { at: fault.at, kind: Kind::Strange(fault.what), depth: 0 }
    }

    fn is_end_of_item(&self, close: &str) -> bool {
        self.is_mark(",") || self.is_mark(close) || self.is_name("for") || (close == "}" && self.is_mark(":"))
    }

    fn skip_item(&mut self) {
        let mut depth = 0_usize;
        while let Some(word) = self.peek() {
            match word {
                Word::Mark("(" | "[" | "{") => depth += 1,
                Word::Mark(")" | "]" | "}") if depth == 0 => return,
                Word::Mark(")" | "]" | "}") => depth -= 1,
                Word::Mark(",") if depth == 0 => return,
                _ => {}
            }
            self.next += 1;
        }
    }

    fn atom(&mut self) -> Read<Expr<'t>> {
        let (at, Some(word)) = (self.at(), self.peek()) else { return Err(self.fault()) };
        let kind = match word {
            Word::Whole(number) => Kind::Whole(*number),
            Word::Decimal(number) => Kind::Decimal(*number),
            Word::Text(_) => return self.texts(),
            Word::Name(name) if !KEYWORDS.contains(name) => Kind::Name(name),
            Word::Mark("(") => return self.bracket(Form::Tuple, ")"),
            Word::Mark("[") => return self.bracket(Form::List, "]"),
            Word::Mark("{") => return self.bracket(Form::Set, "}"),
            _ => return Err(self.fault()),
        };
        self.next += 1;
        make(at, kind)
    }

    /// Texts that follow each other are one.
    fn texts(&mut self) -> Read<Expr<'t>> {
        let (at, mut text) = (self.at(), String::new());
        while let Some(Word::Text(part)) = self.peek() {
            text += part;
            self.next += 1;
        }
        make(at, Kind::Text(text))
    }

    /// What stands in brackets: a container, a comprehension, or an expression.
    fn bracket(&mut self, form: Form, close: &str) -> Read<Expr<'t>> {
        let at = self.at();
        self.next += 1;
        let (mut items, mut is_dict, mut commas) = (Vec::new(), false, 0);
        while !self.take_mark(close) {
            items.push(self.item(close));
            if close == "}" && self.take_mark(":") {
                is_dict = true;
                items.push(self.item(close));
            }
            if self.is_name("for") {
                let form = if is_dict { Form::Dict } else { form };
                let made = self.comprehension(form, items)?;
                self.expect(close)?;
                return Ok(made);
            }
            match self.take_mark(",") {
                true => commas += 1,
                false if self.is_mark(close) => {}
                false => return Err(self.fault()),
            }
        }
        let is_dict = is_dict || (close == "}" && items.is_empty());
        if is_dict && items.len() % 2 == 1 {
            return Err(Fault { at, what: "a key without a value".into() });
        }
        match items.pop() {
            Some(only) if form == Form::Tuple && items.is_empty() && commas == 0 => Ok(only),
            last => {
                items.extend(last);
                make(at, if is_dict { Kind::Dict(items) } else { Kind::Container(form, items) })
            }
        }
    }

    fn comprehension(&mut self, form: Form, items: Vec<Expr<'t>>) -> Read<Expr<'t>> {
        let at = items.first().map_or(self.at(), |item| item.at);
        // Only in braces, and there by the colon, two items are one.
        if items.len() != 1 + usize::from(form == Form::Dict) {
            return Err(self.fault());
        }
        let form = if form == Form::Tuple { Form::List } else { form };
        let mut clauses = Vec::new();
        while self.take_name("for") {
            let target = self.targets()?;
            if !self.take_name("in") {
                return Err(self.fault());
            }
            let source = self.ranked(0)?;
            let mut conditions = Vec::new();
            while self.take_name("if") {
                conditions.push(self.ranked(0)?);
            }
            clauses.push(Clause { target, source, conditions });
        }
        make(at, Kind::Comprehension(form, items, clauses))
    }

    /// The names behind `for`.
    fn targets(&mut self) -> Read<Expr<'t>> {
        let (at, mut items, mut commas) = (self.at(), Vec::new(), 0);
        loop {
            items.push(self.parts()?);
            if !self.take_mark(",") {
                break;
            }
            commas += 1;
            if self.is_name("in") {
                break;
            }
        }
        match items.pop() {
            Some(only) if commas == 0 => Ok(only),
            last => {
                items.extend(last);
                make(at, Kind::Container(Form::Tuple, items))
            }
        }
    }
}

/// An expression, unless it is too deep.
fn make(at: usize, kind: Kind<'_>) -> Read<Expr<'_>> {
    let most = |items: &[Expr]| items.iter().map(|item| item.depth).max().unwrap_or(0);
    let below = match &kind {
        Kind::Container(_, items) | Kind::Dict(items) => most(items),
        Kind::Comprehension(_, items, clauses) => {
            let clause =
                |clause: &Clause| clause.target.depth.max(clause.source.depth).max(most(&clause.conditions));
            most(items).max(clauses.iter().map(clause).max().unwrap_or(0))
        }
        Kind::Attribute(of, _) | Kind::Minus(of) | Kind::Not(of) => of.depth,
        Kind::Index(of, index) => of.depth.max(index.depth),
        Kind::Call(of, args) => args.iter().map(|(_, arg)| arg.depth).max().unwrap_or(0).max(of.depth),
        Kind::Chain(first, rest) => {
            rest.iter().map(|(_, right)| right.depth).max().unwrap_or(0).max(first.depth)
        }
        Kind::Choice(three) => most(&three[..]),
        _ => 0,
    };
    if below >= DEPTH_MAX {
        return Err(Fault { at, what: "this is nested too deeply".into() });
    }
    Ok(Expr { at, kind, depth: below + 1 })
}
