//! A struct of some fields of an entity, as `Insert` and `Projection` take it.

use proc_macro2::Ident;
use syn::{DeriveInput, LitStr, Path, Result, Type};

use crate::attribute::{self, collect, plain, refuse};
use crate::case::constant;
use crate::entity::named_fields;

/// A struct of some fields of an entity.
pub(crate) struct Selection {
    pub(crate) entity: Path,
    /// Where Sora is found.
    pub(crate) path: Path,
    pub(crate) fields: Vec<Selected>,
}

/// A field of a [`Selection`].
pub(crate) struct Selected {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// The entity's constant for the field.
    pub(crate) constant: Ident,
}

impl Selection {
    /// Reads a struct.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each at its place.
    pub(crate) fn parse(input: &DeriveInput, what: &str) -> Result<Self> {
        let named = named_fields(input, what)?;
        let mut entity = None;
        let mut path = None;
        attribute::parse(&input.attrs, &["crate", "entity"], &[], |name, meta| {
            match name {
                "crate" => path = Some(attribute::path(meta)?),
                _ => entity = Some(meta.value()?.parse()?),
            }
            Ok(())
        })?;
        let entity = entity.ok_or_else(|| {
            refuse(&input.ident, "name the entity: `#[sora(entity = …)]` on the struct")
        })?;
        let mut errors = None;
        let mut fields: Vec<Selected> = Vec::new();
        for field in &named.named {
            match Selected::parse(field) {
                Ok(selected) => {
                    if fields.iter().any(|other| other.constant == selected.constant) {
                        let message = "another field stands for the same field of the entity";
                        collect(&mut errors, refuse(&selected.ident, message));
                    }
                    fields.push(selected);
                }
                Err(error) => collect(&mut errors, error),
            }
        }
        if fields.is_empty() && errors.is_none() {
            return Err(refuse(&input.ident, format!("{what} has at least one field")));
        }
        match errors {
            Some(errors) => Err(errors),
            None => {
                Ok(Self { entity, path: path.unwrap_or_else(attribute::default_crate), fields })
            }
        }
    }
}

impl Selected {
    fn parse(field: &syn::Field) -> Result<Self> {
        let ident = field.ident.clone().expect("the fields of a selection are named");
        let mut other: Option<LitStr> = None;
        attribute::parse(&field.attrs, &["field"], &[], |_, meta| {
            other = Some(attribute::text(meta)?);
            Ok(())
        })?;
        let constant = match other {
            None => Ident::new(&constant(&plain(&ident)), ident.span()),
            Some(name) => match field_name(&name.value()) {
                Some(field) => Ident::new(&constant(&field), name.span()),
                None => return Err(refuse(&name, "name a field of the entity")),
            },
        };
        Ok(Self { ident, ty: field.ty.clone(), constant })
    }
}

/// Returns the text as the name of a field, without the `r#` of a raw one.
fn field_name(text: &str) -> Option<String> {
    let text = text.strip_prefix("r#").unwrap_or(text);
    let is_name = text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    // Only then: what the lexer cannot read at all it reports itself, elsewhere.
    let parsed = is_name.then(|| syn::parse_str::<Ident>(&constant(text)))?;
    parsed.is_ok().then(|| text.to_string())
}
