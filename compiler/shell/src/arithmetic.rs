//! Integer expressions of `$((…))`: 64-bit, C's operators without `++` and `--`, as dash has them.

use crate::shell::{Eval, Shell};
use crate::variables::is_name;

/// Nesting of parentheses and right sides that is accepted.
const DEPTH: u32 = 40;

/// Operators with two sides, from the weakest binding to the strongest.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

struct Expression<'e, 's> {
    shell: &'e mut Shell<'s>,
    text: &'e [u8],
    at: usize,
    depth: u32,
    /// Whether what is read takes no effect: the side of `&&`, `||` or `?:` that is not taken.
    skipped: bool,
}

impl Shell<'_> {
    pub(crate) fn arithmetic(&mut self, text: &[u8]) -> Eval<i64> {
        let mut expression = Expression { shell: self, text, at: 0, depth: 0, skipped: false };
        expression.blanks();
        if expression.at == text.len() {
            return Ok(0);
        }
        let value = expression.assignment()?;
        if expression.at < text.len() { Err(expression.wrong()) } else { Ok(value) }
    }
}

impl Expression<'_, '_> {
    fn wrong(&self) -> crate::shell::Stop {
        self.shell.unknown(format!("the arithmetic `{}`", String::from_utf8_lossy(self.text))).into()
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token.as_bytes());
        if found {
            self.at += token.len();
            self.blanks();
        }
        found
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Eval<T>) -> Eval<T> {
        if self.depth >= DEPTH {
            return Err(self.wrong());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn skipping(&mut self, skip: bool, inner: impl FnOnce(&mut Self) -> Eval<i64>) -> Eval<i64> {
        let before = self.skipped;
        self.skipped |= skip;
        let result = inner(self);
        self.skipped = before;
        result
    }

    fn assignment(&mut self) -> Eval<i64> {
        self.deeper(|this| {
            let start = this.at;
            let name = this.name();
            let operators = ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="];
            let operator = operators.into_iter().find(|operator| this.rest().starts_with(operator.as_bytes()));
            let Some(operator) =
                operator.filter(|operator| is_name(&name) && !(*operator == "=" && this.rest().starts_with(b"==")))
            else {
                this.at = start;
                return this.conditional();
            };
            this.take(operator);
            let right = this.assignment()?;
            let value = match operator.trim_end_matches('=') {
                "" => right,
                operator => {
                    let left = this.variable(&name)?;
                    this.apply(operator, left, right)?
                }
            };
            if !this.skipped {
                this.shell.assign(&name, value.to_string().into_bytes())?;
            }
            Ok(value)
        })
    }

    fn conditional(&mut self) -> Eval<i64> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.skipping(condition == 0, Self::assignment)?;
        if !self.take(":") {
            return Err(self.wrong());
        }
        let no = self.skipping(condition != 0, |this| this.deeper(Self::conditional))?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn binary(&mut self, level: usize) -> Eval<i64> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            self.take(operator);
            let skip = (operator == "&&" && left == 0) || (operator == "||" && left != 0);
            let right = self.skipping(skip, |this| this.binary(level + 1))?;
            left = self.apply(operator, left, right)?;
        }
        Ok(left)
    }

    /// The operator that stands here, unless it is the start of a longer one.
    fn operator<'o>(&self, operators: &[&'o str]) -> Option<&'o str> {
        let operator = operators.iter().find(|operator| self.rest().starts_with(operator.as_bytes()))?;
        let next = self.rest().get(operator.len());
        let longer = match *operator {
            "|" | "&" => next == Some(&operator.as_bytes()[0]) || next == Some(&b'='),
            "<" | ">" => next == Some(&operator.as_bytes()[0]),
            "+" | "-" | "*" | "/" | "%" | "^" | "<<" | ">>" => next == Some(&b'='),
            _ => false,
        };
        (!longer).then_some(operator)
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Eval<i64> {
        let divide =
            |value: Option<i64>| if self.skipped { Ok(value.unwrap_or(0)) } else { value.ok_or_else(|| self.wrong()) };
        Ok(match operator {
            "||" => i64::from(left != 0 || right != 0),
            "&&" => i64::from(left != 0 && right != 0),
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<<" => left.wrapping_shl(right as u32),
            ">>" => left.wrapping_shr(right as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" => divide(left.checked_div(right))?,
            "%" => divide(left.checked_rem(right))?,
            _ => return Err(self.wrong()),
        })
    }

    fn unary(&mut self) -> Eval<i64> {
        self.deeper(|this| {
            if this.rest().starts_with(b"++") || this.rest().starts_with(b"--") {
                return Err(this.wrong());
            }
            if this.take("-") {
                return Ok(this.unary()?.wrapping_neg());
            }
            if this.take("+") {
                return this.unary();
            }
            if this.take("!") {
                return Ok(i64::from(this.unary()? == 0));
            }
            if this.take("~") {
                return Ok(!this.unary()?);
            }
            if this.take("(") {
                let value = this.assignment()?;
                return if this.take(")") { Ok(value) } else { Err(this.wrong()) };
            }
            this.operand()
        })
    }

    fn name(&mut self) -> Vec<u8> {
        let length = self.rest().iter().take_while(|byte| **byte == b'_' || byte.is_ascii_alphanumeric()).count();
        let name = self.rest()[..length].to_vec();
        self.at += length;
        self.blanks();
        name
    }

    fn operand(&mut self) -> Eval<i64> {
        let name = self.name();
        if is_name(&name) {
            return self.variable(&name);
        }
        number(&name).ok_or_else(|| self.wrong())
    }

    fn variable(&mut self, name: &[u8]) -> Eval<i64> {
        match self.shell.state.vars.get(name).map(<[u8]>::to_vec) {
            None if self.shell.state.options.nounset && !self.skipped => Err(self.shell.unset(name)?),
            None => Ok(0),
            Some(value) if value.iter().all(u8::is_ascii_whitespace) => Ok(0),
            Some(value) => {
                let text = value.trim_ascii();
                let (digits, negative) = text.strip_prefix(b"-").map_or((text, false), |digits| (digits, true));
                let value = number(digits).ok_or_else(|| self.wrong())?;
                Ok(if negative { value.wrapping_neg() } else { value })
            }
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}
