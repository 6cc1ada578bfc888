//! `#[derive(ColumnType)]`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Path, Result, Token, Variant, parse_quote};

use crate::attribute::{self, collect, place, plain, refuse};
use crate::case::Case;

const SHAPE: &str = "a column type is a struct of one unnamed field, `struct ZipCode(String);`, or \
                     an enum whose variants hold nothing";

/// Returns the implementation of `ColumnType`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                newtype(input, &fields.unnamed[0])
            }
            _ => Err(refuse(&input.ident, SHAPE)),
        },
        Data::Enum(data) => choice(input, &data.variants),
        Data::Union(data) => Err(Error::new(data.union_token.span, SHAPE)),
    }
}

/// A struct of one field is stored as the field is.
fn newtype(input: &DeriveInput, field: &syn::Field) -> Result<TokenStream> {
    let mut path = None;
    attribute::parse(&input.attrs, &["crate"], &[], |_, meta| {
        path = Some(attribute::path(meta)?);
        Ok(())
    })?;
    attribute::parse(&field.attrs, &[], &[], |_, _| Ok(()))?;
    let inner = &field.ty;
    let column_type = quote_spanned!(place(inner.span())=> <#inner as __sora::ColumnType>);
    let mut generics = input.generics.clone();
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(parse_quote!(#inner: __sora::ColumnType));
    }
    let ident = &input.ident;
    let (generics, arguments, conditions) = generics.split_for_impl();
    Ok(wrap(
        path,
        &quote! {
            #[automatically_derived]
            impl #generics __sora::ColumnType for #ident #arguments #conditions {
                type Base = Self;
                const TYPE: __sora::Type = #column_type::TYPE;
                const NULLABLE: bool = #column_type::NULLABLE;
                const RANGE: ::core::option::Option<(i64, i64)> = #column_type::RANGE;

                fn encode(&self, out: &mut dyn __sora::CellSink) -> __sora::Result<()> {
                    #column_type::encode(&self.0, out)
                }

                fn decode(cell: __sora::Cell<'_>) -> __sora::Result<Self> {
                    #column_type::decode(cell).map(Self)
                }
            }
        },
    ))
}

/// An enum is stored as the name of its variant.
fn choice(input: &DeriveInput, variants: &Punctuated<Variant, Token![,]>) -> Result<TokenStream> {
    let mut path = None;
    let mut rename_all = Case::Snake;
    attribute::parse(&input.attrs, &["crate", "rename_all"], &[], |name, meta| {
        match name {
            "crate" => path = Some(attribute::path(meta)?),
            _ => rename_all = attribute::case(meta)?,
        }
        Ok(())
    })?;
    if variants.is_empty() {
        return Err(refuse(&input.ident, "an enum without variants has no value to store"));
    }
    if !input.generics.params.is_empty() {
        return Err(refuse(&input.generics, SHAPE));
    }
    let mut errors = None;
    let mut texts: Vec<String> = Vec::new();
    for variant in variants {
        match variant_text(variant, rename_all) {
            Ok(text) => {
                if texts.contains(&text) {
                    let message = format!("two variants are stored as {text:?}");
                    collect(&mut errors, refuse(&variant.ident, message));
                }
                texts.push(text);
            }
            Err(error) => collect(&mut errors, error),
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    let ident = &input.ident;
    let name = plain(ident);
    let variants: Vec<&Ident> = variants.iter().map(|variant| &variant.ident).collect();
    Ok(wrap(
        path,
        &quote! {
            #[automatically_derived]
            impl __sora::ColumnType for #ident {
                type Base = Self;
                const TYPE: __sora::Type = __sora::Type::Text;

                fn encode(&self, out: &mut dyn __sora::CellSink) -> __sora::Result<()> {
                    out.cell(__sora::Cell::Text(match self {
                        #(Self::#variants => #texts,)*
                    }))
                }

                fn decode(cell: __sora::Cell<'_>) -> __sora::Result<Self> {
                    ::core::result::Result::Ok(match cell {
                        #(__sora::Cell::Text(#texts) => Self::#variants,)*
                        _ => {
                            let error = __sora::derive::unknown_variant(cell, #name, &[#(#texts),*]);
                            return ::core::result::Result::Err(error);
                        }
                    })
                }
            }
        },
    ))
}

fn variant_text(variant: &Variant, rename_all: Case) -> Result<String> {
    if !matches!(variant.fields, Fields::Unit) {
        let message = format!(
            "the variant `{}` holds something, which its name alone cannot store: {SHAPE}",
            variant.ident
        );
        return Err(refuse(variant, message));
    }
    let mut text = rename_all.apply(&plain(&variant.ident));
    attribute::parse(&variant.attrs, &["rename"], &[], |_, meta| {
        let literal = attribute::text(meta)?;
        text = literal.value();
        if text.contains('\0') {
            return Err(refuse(&literal, "a text cannot contain U+0000"));
        }
        Ok(())
    })?;
    Ok(text)
}

fn wrap(path: Option<Path>, implementation: &TokenStream) -> TokenStream {
    let path = path.unwrap_or_else(attribute::default_crate);
    quote! {
        const _: () = {
            use #path as __sora;

            #implementation
        };
    }
}
