//! From tokens to a query: what is asked, not yet checked against the org's fields.

use super::token::{Placed, Token, malformed, tokens};
use crate::sim::org::Refusal;

/// A field by its path of relations, as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) text: String,
    pub(crate) at: usize,
}

/// One selected thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Field(Path),
    /// `COUNT()`: the answer is `totalSize` alone.
    CountAll,
    /// `COUNT(Id) n`, `MIN(x)`, `MAX(x)`: what is computed, and its alias.
    Aggregate(Computed, Option<String>),
    /// `FIELDS(ALL)` and its kin.
    Everything,
    /// `(SELECT Id FROM Contacts …)`: the children of each row; the query's object is the relation's name.
    Children(Box<Query>),
}

/// What is computed of several rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Computed {
    /// In upper case.
    pub(crate) function: String,
    pub(crate) path: Path,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    In,
    NotIn,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A date or moment, not yet read.
    Moment(String),
    /// `TODAY`, `LAST_N_DAYS:3`.
    Range(String),
}

/// A condition tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Path, Operator, Vec<Literal>),
    /// `Id IN (SELECT AccountId FROM Contact …)`; the flag says NOT IN.
    SubQuery(Path, bool, Box<Query>),
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) path: Path,
    /// `ORDER BY COUNT(Id)`: what is computed of the path, in upper case; empty: nothing.
    pub(crate) function: String,
    pub(crate) descending: bool,
    pub(crate) nulls_last: bool,
}

/// A whole query, or (without items and object) the tail of one that SOSL's RETURNING holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) source: String,
    pub(crate) items: Vec<Item>,
    pub(crate) object: String,
    pub(crate) condition: Option<Condition>,
    pub(crate) group: Vec<Path>,
    /// `HAVING COUNT(Id) > 1 AND …`: all of these hold.
    pub(crate) having: Vec<(Computed, Operator, Literal)>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
    /// `FOR VIEW`: who asks looks at the records.
    pub(crate) viewed: bool,
}

/// What can be computed of several rows.
const FUNCTIONS: [&str; 6] = ["COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"];

/// Deeper nesting than any client writes; a bound on recursion.
const DEEPEST: usize = 50;

/// Reads a query.
pub(crate) fn query(source: &str) -> Result<Query, Refusal> {
    let mut parser = Parser::new(source)?;
    let query = parser.select()?;
    parser.end()?;
    Ok(query)
}

/// Reads `fields WHERE … ORDER BY … LIMIT …` on `object`, the inside of a RETURNING clause.
pub(crate) fn returning(object: &str, source: &str) -> Result<Query, Refusal> {
    let mut parser = Parser::new(source)?;
    let items = parser.items()?;
    if items.iter().any(|item| matches!(item, Item::Children(_))) {
        return Err(malformed(source, 0, "unexpected token: 'SELECT'"));
    }
    let mut query = parser.tail()?;
    parser.end()?;
    query.items = items;
    object.clone_into(&mut query.object);
    Ok(query)
}

/// Reads a condition alone.
pub(crate) fn condition(source: &str) -> Result<Condition, Refusal> {
    let mut parser = Parser::new(source)?;
    let condition = parser.either()?;
    parser.end()?;
    Ok(condition)
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    alias: Option<String>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Result<Self, Refusal> {
        Ok(Self { source, tokens: tokens(source)?, next: 0, depth: 0, alias: None })
    }

    fn select(&mut self) -> Result<Query, Refusal> {
        self.expect_word("SELECT")?;
        let items = self.items()?;
        self.expect_word("FROM")?;
        let object = self.name()?.text;
        self.alias = self.object_alias();
        let mut query = self.tail()?;
        query.items = items.into_iter().map(|item| self.without_alias(item)).collect();
        query.object = object;
        Ok(query)
    }

    fn items(&mut self) -> Result<Vec<Item>, Refusal> {
        let mut items = vec![self.item()?];
        while self.take_sign(",") {
            items.push(self.item()?);
        }
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, Refusal> {
        if self.take_sign("(") {
            return Ok(Item::Children(Box::new(self.inner()?)));
        }
        let path = self.name()?;
        if !self.take_sign("(") {
            return Ok(Item::Field(path));
        }
        let function = path.text.to_ascii_uppercase();
        if function == "COUNT" && self.take_sign(")") {
            return Ok(Item::CountAll);
        }
        let argument = self.name()?;
        self.expect_sign(")")?;
        match function.as_str() {
            "FIELDS" => Ok(Item::Everything),
            name if FUNCTIONS.contains(&name) => {
                let computed = Computed { function, path: argument };
                Ok(Item::Aggregate(computed, self.item_alias()))
            }
            // These change how a value is shown, which our data does not need.
            "TOLABEL" | "FORMAT" => Ok(Item::Field(argument)),
            _ => Err(malformed(self.source, path.at, &format!("unexpected token: '{}'", path.text))),
        }
    }

    fn tail(&mut self) -> Result<Query, Refusal> {
        let mut query = Query { source: self.source.to_owned(), ..Query::default() };
        if self.take_word("USING") {
            self.name()?;
            self.name()?;
        }
        if self.take_word("WHERE") {
            query.condition = Some(self.either()?);
        }
        if self.take_word("WITH") {
            self.name()?;
        }
        if self.take_word("GROUP") {
            self.expect_word("BY")?;
            query.group = self.group()?;
        }
        if self.take_word("HAVING") {
            query.having = self.having()?;
        }
        if self.take_word("ORDER") {
            self.expect_word("BY")?;
            query.order = self.orders()?;
        }
        if self.take_word("LIMIT") {
            query.limit = Some(self.whole()?);
        }
        if self.take_word("OFFSET") {
            query.offset = self.whole()?;
        }
        while self.take_word("FOR") {
            query.viewed |= self.name()?.text.eq_ignore_ascii_case("VIEW");
        }
        Ok(query)
    }

    fn group(&mut self) -> Result<Vec<Path>, Refusal> {
        let mut paths = Vec::new();
        loop {
            let path = self.name()?;
            paths.push(self.unaliased(path));
            if !self.take_sign(",") {
                return Ok(paths);
            }
        }
    }

    fn having(&mut self) -> Result<Vec<(Computed, Operator, Literal)>, Refusal> {
        let mut all = Vec::new();
        loop {
            let (function, path) = self.computed()?;
            if function.is_empty() {
                return Err(self.unexpected());
            }
            all.push((Computed { function, path }, self.operator()?, self.literal()?));
            if !self.take_word("AND") {
                return Ok(all);
            }
        }
    }

    /// `COUNT(Id)`, or a field of which nothing is computed.
    fn computed(&mut self) -> Result<(String, Path), Refusal> {
        let path = self.name()?;
        let function = path.text.to_ascii_uppercase();
        if !FUNCTIONS.contains(&function.as_str()) || !self.take_sign("(") {
            return Ok((String::new(), self.unaliased(path)));
        }
        let argument = self.name()?;
        self.expect_sign(")")?;
        Ok((function, self.unaliased(argument)))
    }

    /// `a AND b` or `a OR b`; SOQL refuses a mix of both without parentheses.
    fn either(&mut self) -> Result<Condition, Refusal> {
        let first = self.negated()?;
        let (is_and, is_or) = (self.peek_word("AND"), self.peek_word("OR"));
        if !is_and && !is_or {
            return Ok(first);
        }
        let word = if is_and { "AND" } else { "OR" };
        let mut parts = vec![first];
        while self.take_word(word) {
            parts.push(self.negated()?);
        }
        Ok(if is_and { Condition::And(parts) } else { Condition::Or(parts) })
    }

    fn negated(&mut self) -> Result<Condition, Refusal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.unexpected());
        }
        let condition = if self.take_word("NOT") {
            Condition::Not(Box::new(self.negated()?))
        } else if self.take_sign("(") {
            let inner = self.either()?;
            self.expect_sign(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, Refusal> {
        let path = self.name()?;
        let path = self.unaliased(path);
        let operator = self.operator()?;
        if !matches!(operator, Operator::In | Operator::NotIn) {
            let literal = self.literal()?;
            return Ok(Condition::Compare(path, operator, vec![literal]));
        }
        self.expect_sign("(")?;
        if self.peek_word("SELECT") {
            let negated = operator == Operator::NotIn;
            return Ok(Condition::SubQuery(path, negated, Box::new(self.inner()?)));
        }
        let mut list = vec![self.literal()?];
        while self.take_sign(",") {
            list.push(self.literal()?);
        }
        self.expect_sign(")")?;
        Ok(Condition::Compare(path, operator, list))
    }

    /// A query within the query, and the parenthesis that closes it.
    fn inner(&mut self) -> Result<Query, Refusal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.unexpected());
        }
        let outer = self.alias.take();
        let query = self.select()?;
        self.alias = outer;
        self.depth -= 1;
        self.expect_sign(")")?;
        Ok(query)
    }

    fn operator(&mut self) -> Result<Operator, Refusal> {
        let signs = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (sign, operator) in signs {
            if self.take_sign(sign) {
                return Ok(operator);
            }
        }
        if self.take_word("LIKE") {
            return Ok(Operator::Like);
        }
        if self.take_word("IN") {
            return Ok(Operator::In);
        }
        if self.take_word("NOT") {
            self.expect_word("IN")?;
            return Ok(Operator::NotIn);
        }
        Err(self.unexpected())
    }

    fn literal(&mut self) -> Result<Literal, Refusal> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Moment(moment)) => Literal::Moment(moment.clone()),
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                range => Literal::Range(range.to_owned()),
            },
            Some(Token::Sign(_)) | None => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }

    fn orders(&mut self) -> Result<Vec<Order>, Refusal> {
        let mut orders = vec![self.order()?];
        while self.take_sign(",") {
            orders.push(self.order()?);
        }
        Ok(orders)
    }

    fn order(&mut self) -> Result<Order, Refusal> {
        let (function, path) = self.computed()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.expect_word("FIRST")?;
            }
        }
        Ok(Order { path, function, descending, nulls_last })
    }

    /// `FROM Contact c`: a word that does not begin the next clause.
    fn object_alias(&mut self) -> Option<String> {
        let clauses = ["USING", "WHERE", "WITH", "ORDER", "LIMIT", "OFFSET", "FOR", "GROUP"];
        self.take_name_but(&clauses)
    }

    fn item_alias(&mut self) -> Option<String> {
        self.take_name_but(&["FROM"])
    }

    fn take_name_but(&mut self, reserved: &[&str]) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else {
            return None;
        };
        if reserved.iter().any(|clause| clause.eq_ignore_ascii_case(word)) {
            return None;
        }
        let word = word.clone();
        self.next += 1;
        Some(word)
    }

    fn without_alias(&self, item: Item) -> Item {
        match item {
            Item::Field(path) => Item::Field(self.unaliased(path)),
            Item::Aggregate(Computed { function, path }, alias) => {
                Item::Aggregate(Computed { function, path: self.unaliased(path) }, alias)
            }
            Item::CountAll | Item::Everything | Item::Children(_) => item,
        }
    }

    fn unaliased(&self, path: Path) -> Path {
        let Some(alias) = &self.alias else {
            return path;
        };
        match path.text.split_once('.') {
            Some((first, rest)) if first.eq_ignore_ascii_case(alias) => Path { text: rest.to_owned(), at: path.at },
            _ => path,
        }
    }

    fn name(&mut self) -> Result<Path, Refusal> {
        let at = self.place();
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.unexpected());
        };
        let text = word.clone();
        self.next += 1;
        Ok(Path { text, at })
    }

    fn whole(&mut self) -> Result<usize, Refusal> {
        let Some(Token::Number(number)) = self.peek() else {
            return Err(self.unexpected());
        };
        let whole = number.to_string().parse().map_err(|_| self.unexpected())?;
        self.next += 1;
        Ok(whole)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    fn place(&self) -> usize {
        let end = self.source.chars().count();
        self.tokens.get(self.next).map_or(end, |placed| placed.at)
    }

    fn peek_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Refusal {
        let token = match self.peek() {
            Some(Token::Word(text) | Token::Text(text) | Token::Moment(text)) => {
                format!("'{text}'")
            }
            Some(Token::Number(number)) => format!("'{number}'"),
            Some(Token::Sign(sign)) => format!("'{sign}'"),
            None => "'<EOF>'".to_owned(),
        };
        malformed(self.source, self.place(), &format!("unexpected token: {token}"))
    }
}
