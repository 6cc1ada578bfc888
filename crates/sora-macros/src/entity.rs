//! What an entity's struct and its attributes declare.

use proc_macro2::{Ident, Span};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataStruct, DeriveInput, Error, Fields, FieldsNamed, Path, Result, Token,
    Visibility,
};

use crate::attribute::{self, collect, flag, plain, refuse};
use crate::case::Case;
use crate::column::{Assigned, Column, Field, Skipped};

/// The widest key that rows can be looked up by.
const KEY_WIDTH_MAX: usize = 4;

/// An entity.
pub(crate) struct Entity {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    /// Where Sora is found.
    pub(crate) path: Path,
    pub(crate) table: String,
    pub(crate) columns: Vec<Column>,
    /// The fields that are no columns.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) indexes: Vec<Index>,
}

/// An index of an [`Entity`].
pub(crate) struct Index {
    pub(crate) name: Option<String>,
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
}

/// An index as it is written: by the names of fields.
struct IndexAttribute {
    at: Span,
    name: Option<String>,
    fields: Vec<Ident>,
    unique: bool,
}

/// The attributes of the struct.
#[derive(Default)]
struct Attributes {
    path: Option<Path>,
    table: Option<String>,
    rename_all: Option<Case>,
    indexes: Vec<IndexAttribute>,
}

impl Entity {
    /// Reads a struct.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each at its place.
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let fields = named_fields(input, "an entity")?;
        if !input.generics.params.is_empty() {
            let message = "an entity has no generics: its rows have one type";
            return Err(refuse(&input.generics, message));
        }
        let attributes = Attributes::parse(&input.attrs)?;
        let mut errors = None;
        let mut columns: Vec<Column> = Vec::new();
        let mut skipped = Vec::new();
        for field in &fields.named {
            match Field::parse(field, attributes.rename_all) {
                Ok(Field::Column(column)) => {
                    if columns.iter().any(|other| other.name == column.name) {
                        let message = format!("two columns are named `{}`", column.name);
                        collect(&mut errors, refuse(&column.ident, message));
                    }
                    columns.push(*column);
                }
                Ok(Field::Skipped(field)) => skipped.push(*field),
                Err(error) => collect(&mut errors, error),
            }
        }
        if errors.is_none() {
            check_key(input, &columns).unwrap_or_else(|error| collect(&mut errors, error));
            check_version(&columns).unwrap_or_else(|error| collect(&mut errors, error));
        }
        let mut indexes = Vec::new();
        if errors.is_none() {
            let written = attributes.indexes.into_iter().chain(own_indexes(&columns));
            indexes = resolve(written, &columns, &skipped)
                .inspect_err(|error| collect(&mut errors, error.clone()))
                .unwrap_or_default();
        }
        if let Some(errors) = errors {
            return Err(errors);
        }
        let table = attributes.table.unwrap_or_else(|| Case::Snake.apply(&plain(&input.ident)));
        Ok(Self {
            ident: input.ident.clone(),
            vis: input.vis.clone(),
            path: attributes.path.unwrap_or_else(attribute::default_crate),
            table,
            columns,
            skipped,
            indexes,
        })
    }

    /// The columns of the key.
    pub(crate) fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.key.is_some())
    }

    /// Whether the caller can give a new row all its columns.
    pub(crate) fn is_insertable(&self) -> bool {
        self.columns
            .iter()
            .all(|column| matches!(column.assigned, Assigned::Caller | Assigned::UuidV7(_)))
    }
}

/// Returns the fields of a struct with named fields.
pub(crate) fn named_fields<'a>(input: &'a DeriveInput, what: &str) -> Result<&'a FieldsNamed> {
    match &input.data {
        Data::Struct(DataStruct { fields: Fields::Named(fields), .. }) => Ok(fields),
        Data::Struct(_) => {
            let message = format!("{what} is a struct with named fields");
            Err(refuse(&input.ident, message))
        }
        Data::Enum(data) => {
            let message = format!("{what} is a struct with named fields, not an enum");
            Err(Error::new(data.enum_token.span, message))
        }
        Data::Union(data) => {
            let message = format!("{what} is a struct with named fields, not a union");
            Err(Error::new(data.union_token.span, message))
        }
    }
}

impl Attributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        const KNOWN: &[&str] = &["crate", "index", "rename_all", "table", "unique"];
        let mut out = Self::default();
        attribute::parse(attributes, KNOWN, &["index", "unique"], |name, meta| {
            match name {
                "crate" => out.path = Some(attribute::path(meta)?),
                "table" => out.table = Some(attribute::name(meta)?),
                "rename_all" => out.rename_all = Some(attribute::case(meta)?),
                _ => out.indexes.push(IndexAttribute::parse(meta, name == "unique")?),
            }
            Ok(())
        })?;
        Ok(out)
    }
}

impl IndexAttribute {
    /// Reads `(a, b, name = "n")`.
    fn parse(meta: &ParseNestedMeta<'_>, unique: bool) -> Result<Self> {
        let mut index = Self { at: meta.path.span(), name: None, fields: Vec::new(), unique };
        if !meta.input.peek(syn::token::Paren) {
            let written = if unique { "unique" } else { "index" };
            let message = format!(
                "name the fields, `{written}(a, b)`, or write `#[sora({written})]` on the field"
            );
            return Err(refuse(&meta.path, message));
        }
        meta.parse_nested_meta(|part| {
            let field = part.path.require_ident()?;
            if field == "name" && part.input.peek(Token![=]) {
                if index.name.is_some() {
                    return Err(refuse(field, "`name` is given twice"));
                }
                index.name = Some(attribute::name(&part)?);
                return Ok(());
            }
            if index.fields.contains(field) {
                return Err(refuse(field, format!("the field `{}` comes twice", plain(field))));
            }
            flag(&part)?;
            index.fields.push(field.clone());
            Ok(())
        })?;
        if index.fields.is_empty() {
            return Err(refuse(&meta.path, "an index has at least one field"));
        }
        Ok(index)
    }
}

/// The indexes that stand on a field.
fn own_indexes(columns: &[Column]) -> impl Iterator<Item = IndexAttribute> {
    columns.iter().flat_map(|column| {
        [(column.index, false), (column.unique, true)].into_iter().filter_map(|(at, unique)| {
            let fields = vec![column.ident.clone()];
            Some(IndexAttribute { at: at?, name: None, fields, unique })
        })
    })
}

/// Finds the columns of the indexes.
fn resolve(
    written: impl Iterator<Item = IndexAttribute>,
    columns: &[Column],
    skipped: &[Skipped],
) -> Result<Vec<Index>> {
    let mut indexes: Vec<Index> = Vec::new();
    for index in written {
        let names: Result<_> =
            index.fields.iter().map(|field| resolve_field(field, columns, skipped)).collect();
        let found = Index { name: index.name, columns: names?, unique: index.unique };
        let same = |other: &Index| {
            other.columns == found.columns && other.unique == found.unique
                || other.name.is_some() && other.name == found.name
        };
        if indexes.iter().any(same) {
            let message = "there is another index of this name, or on the same fields";
            return Err(Error::new(index.at, message));
        }
        indexes.push(found);
    }
    Ok(indexes)
}

fn resolve_field(field: &Ident, columns: &[Column], skipped: &[Skipped]) -> Result<String> {
    let name = plain(field);
    let Some(column) = columns.iter().find(|column| plain(&column.ident) == name) else {
        if skipped.iter().any(|other| plain(&other.ident) == name) {
            let message = format!("the field `{name}` is skipped, so it cannot be in an index");
            return Err(refuse(field, message));
        }
        let names: Vec<_> = columns.iter().map(|column| plain(&column.ident)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        return Err(attribute::unknown(field, "field", &name, &names));
    };
    if column.json {
        let message = format!("the field `{name}` is JSON, which no index can be on");
        return Err(refuse(field, message));
    }
    Ok(column.name.clone())
}

fn check_key(input: &DeriveInput, columns: &[Column]) -> Result<()> {
    let key: Vec<_> = columns.iter().filter_map(|column| column.key).collect();
    if key.is_empty() {
        return Err(refuse(
            &input.ident,
            "an entity has a key: mark its field with `#[sora(key)]`",
        ));
    }
    if let Some(at) = key.get(KEY_WIDTH_MAX) {
        return Err(Error::new(*at, format!("a key has at most {KEY_WIDTH_MAX} fields")));
    }
    for column in columns {
        if let Assigned::Identity(at) = column.assigned {
            if column.key.is_none() {
                let message = "`identity` belongs to the key: write `#[sora(key, identity)]`";
                return Err(Error::new(at, message));
            }
            if key.len() > 1 {
                let message = "`identity` is the whole key: remove `key` from the other fields";
                return Err(Error::new(at, message));
            }
        }
    }
    Ok(())
}

fn check_version(columns: &[Column]) -> Result<()> {
    match columns.iter().filter_map(|column| column.version).nth(1) {
        Some(at) => Err(Error::new(at, "a row has one version: another field is `version` too")),
        None => Ok(()),
    }
}
