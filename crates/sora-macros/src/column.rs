//! What the field of an entity and its attributes declare.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, GenericArgument, Lit, LitInt, PathArguments, Result, Token, Type, Visibility,
    parenthesized,
};

use crate::attribute::{self, flag, plain, refuse};
use crate::case::{Case, constant};

/// A field of an entity.
pub(crate) enum Field {
    Column(Box<Column>),
    Skipped(Box<Skipped>),
}

/// A field that is no column.
pub(crate) struct Skipped {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

/// A field that is a column.
pub(crate) struct Column {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: Type,
    /// The constant of the entity that stands for it.
    pub(crate) constant: Ident,
    pub(crate) name: String,
    pub(crate) assigned: Assigned,
    pub(crate) json: bool,
    pub(crate) decimal: Option<(u8, u8, Span)>,
    pub(crate) key: Option<Span>,
    pub(crate) version: Option<Span>,
    pub(crate) index: Option<Span>,
    pub(crate) unique: Option<Span>,
}

/// Who gives a column of a new row its value, and where that is written.
pub(crate) enum Assigned {
    Caller,
    Default(Literal, Span),
    Identity(Span),
    Now(Span),
    UuidV7(Span),
}

/// The literal of a `default`.
pub(crate) enum Literal {
    Bool(bool),
    Float(f64),
    Integer(i64),
    Text(String),
}

/// The attributes of a field, in the order in which they are written.
#[derive(Default)]
struct Attributes {
    written: Vec<(String, Span)>,
    column: Option<String>,
    default: Option<Assigned>,
    decimal: Option<(u8, u8)>,
}

impl Field {
    /// Reads a field.
    pub(crate) fn parse(field: &syn::Field, rename_all: Option<Case>) -> Result<Self> {
        let ident = field.ident.clone().expect("the fields of an entity are named");
        let mut attributes = Attributes::parse(&field.attrs)?;
        attributes.check()?;
        if attributes.at("skip").is_some() {
            return Ok(Self::Skipped(Box::new(Skipped { ident, ty: field.ty.clone() })));
        }
        let key = attributes.at("key");
        if key.is_some() && option(&field.ty).is_some() {
            return Err(refuse(&field.ty, "a key is never null: it cannot be an `Option`"));
        }
        let plain = plain(&ident);
        let name = match (attributes.column.take(), rename_all) {
            (Some(name), _) => name,
            (None, Some(case)) => case.apply(&plain),
            (None, None) => plain.clone(),
        };
        let docs = field.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
        Ok(Self::Column(Box::new(Column {
            vis: field.vis.clone(),
            docs: docs.cloned().collect(),
            ty: field.ty.clone(),
            constant: Ident::new(&constant(&plain), ident.span()),
            ident,
            name,
            json: attributes.at("json").is_some(),
            decimal: attributes
                .decimal
                .zip(attributes.at("decimal"))
                .map(|((precision, scale), at)| (precision, scale, at)),
            key,
            version: attributes.at("version"),
            index: attributes.at("index"),
            unique: attributes.at("unique"),
            assigned: attributes.assigned(),
        })))
    }
}

impl Attributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        const KNOWN: &[&str] = &[
            "column", "decimal", "default", "identity", "index", "json", "key", "skip", "unique",
            "uuid_v7", "version",
        ];
        let mut out = Self::default();
        attribute::parse(attributes, KNOWN, &[], |name, meta| {
            let at = match name {
                "column" | "decimal" | "default" => meta.path.span(),
                _ => flag(meta)?,
            };
            match name {
                "column" => out.column = Some(attribute::name(meta)?),
                "decimal" => out.decimal = Some(digits(meta)?),
                "default" => out.default = Some(default(meta)?),
                _ => {}
            }
            out.written.push((name.into(), at));
            Ok(())
        })?;
        Ok(out)
    }

    /// Where an attribute is written.
    fn at(&self, name: &str) -> Option<Span> {
        self.written.iter().find(|(other, _)| other == name).map(|(_, at)| *at)
    }

    /// Refuses attributes that are at odds, at the later of the two.
    fn check(&self) -> Result<()> {
        /// The attributes that do not go together with the first, and why.
        const CONFLICTS: &[(&str, &[&str], &str)] = &[
            (
                "skip",
                &[
                    "column", "decimal", "default", "identity", "index", "json", "key", "unique",
                    "uuid_v7", "version",
                ],
                "a skipped field is no column",
            ),
            (
                "json",
                &["decimal", "identity", "index", "key", "unique", "uuid_v7", "version"],
                "the store does not look into JSON",
            ),
            ("version", &["identity", "key", "uuid_v7"], "a version changes with every write"),
            ("identity", &["default", "uuid_v7"], "a value is assigned in one way"),
            ("uuid_v7", &["default"], "a value is assigned in one way"),
        ];
        for (first, others, why) in CONFLICTS {
            let Some(at) = self.position(first) else { continue };
            if let Some(other) = others.iter().find_map(|other| self.position(other)) {
                let (earlier, later) = (at.min(other), at.max(other));
                let ((earlier, _), (later, span)) = (&self.written[earlier], &self.written[later]);
                let message =
                    format!("`{later}` does not go together with `{earlier}`: {why}; remove one");
                return Err(Error::new(*span, message));
            }
        }
        Ok(())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.written.iter().position(|(other, _)| other == name)
    }

    fn assigned(self) -> Assigned {
        if let Some(at) = self.at("identity") {
            return Assigned::Identity(at);
        }
        if let Some(at) = self.at("uuid_v7") {
            return Assigned::UuidV7(at);
        }
        self.default.unwrap_or(Assigned::Caller)
    }
}

/// Returns what is inside an `Option`, by its name.
pub(crate) fn option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

/// Reads `default = literal` and `default = now`.
fn default(meta: &ParseNestedMeta<'_>) -> Result<Assigned> {
    const HINT: &str = "a default is a bool, a number, a text or `now`: `default = 0`";
    let value = meta.value().map_err(|_| refuse(&meta.path, HINT))?;
    if let Ok(ident) = value.fork().call(Ident::parse_any)
        && ident != "true"
        && ident != "false"
    {
        value.call(Ident::parse_any)?;
        let is_now = ident == "now";
        return is_now.then(|| Assigned::Now(ident.span())).ok_or_else(|| refuse(&ident, HINT));
    }
    let minus: Option<Token![-]> = value.parse()?;
    let sign = if minus.is_some() { "-" } else { "" };
    let literal: Lit = value.parse().map_err(|error| Error::new(error.span(), HINT))?;
    let read = match &literal {
        Lit::Int(number) => {
            let integer = format!("{sign}{}", number.base10_digits()).parse();
            Literal::Integer(
                integer.map_err(|_| refuse(&literal, "the integer does not fit 64 bits"))?,
            )
        }
        Lit::Float(number) => {
            let float = format!("{sign}{}", number.base10_digits()).parse::<f64>();
            let float = float.ok().filter(|float| float.is_finite());
            Literal::Float(float.ok_or_else(|| refuse(&literal, "the float does not fit 64 bits"))?)
        }
        Lit::Bool(value) if minus.is_none() => Literal::Bool(value.value),
        Lit::Str(text) if minus.is_none() => match text.value() {
            text if text.contains('\0') => {
                return Err(refuse(&literal, "a text cannot contain U+0000"));
            }
            text => Literal::Text(text),
        },
        _ => return Err(refuse(&literal, HINT)),
    };
    Ok(Assigned::Default(read, literal.span()))
}

/// Reads `decimal(precision, scale)`.
fn digits(meta: &ParseNestedMeta<'_>) -> Result<(u8, u8)> {
    const DIGITS_MAX: u8 = 28;
    let hint = "write the digits in all and behind the point: `decimal(12, 2)`";
    if !meta.input.peek(syn::token::Paren) {
        return Err(refuse(&meta.path, hint));
    }
    let content;
    let parentheses = parenthesized!(content in meta.input);
    let numbers = Punctuated::<LitInt, Token![,]>::parse_terminated(&content)
        .map_err(|error| Error::new(error.span(), hint))?;
    let [precision, scale] = &*numbers.iter().collect::<Vec<_>>() else {
        return Err(Error::new(parentheses.span.join(), hint));
    };
    let read = |number: &LitInt| {
        let digits = number.base10_parse().ok().filter(|digits| *digits <= DIGITS_MAX);
        digits.ok_or_else(|| refuse(number, format!("a decimal has 1 to {DIGITS_MAX} digits")))
    };
    let digits = (read(precision)?, read(scale)?);
    if digits.0 == 0 {
        return Err(refuse(precision, format!("a decimal has 1 to {DIGITS_MAX} digits")));
    }
    if digits.1 > digits.0 {
        return Err(refuse(scale, "a decimal has no more digits behind the point than in all"));
    }
    Ok(digits)
}
