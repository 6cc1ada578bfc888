//! The code that `#[derive(Entity)]` writes.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::attribute::{place, plain};
use crate::column::{Assigned, Column, Literal, Skipped, option};
use crate::entity::{Entity, Index};

/// Returns the implementations for an entity.
///
/// Code stands once in `sora-core` wherever it can, so that an entity costs little to compile: here
/// are constants, and a call for each field.
pub(crate) fn entity(entity: &Entity) -> TokenStream {
    let Entity { ident, vis, path, table, columns, .. } = entity;
    let constants = columns.iter().zip(0u16..).map(|(column, at)| constant(column, at));
    let specs = columns.iter().map(spec);
    let indexes = entity.indexes.iter().map(index);
    let implementation = implementation(entity);
    let insert = entity.is_insertable().then(|| insert(entity));
    quote! {
        const _: () = {
            use #path as __sora;

            #[allow(dead_code)]
            #[automatically_derived]
            impl #ident {
                #(#constants)*

                #[doc(hidden)]
                #vis const __SORA_COLUMNS: &'static [__sora::derive::ColumnSpec] = &[#(#specs),*];
            }

            static __SORA_ENTITY: __sora::derive::EntitySpec =
                __sora::derive::EntitySpec::new(#table, #ident::__SORA_COLUMNS, &[#(#indexes),*]);

            #implementation
            #insert
        };
    }
}

/// The constant of a field, which its type is checked by everywhere.
fn constant(column: &Column, at: u16) -> TokenStream {
    let Column { constant, vis, docs, .. } = column;
    let stored = stored(column);
    let ours = format!("The field `{}`.", plain(&column.ident));
    let docs = if docs.is_empty() { quote!(#[doc = #ours]) } else { quote!(#(#docs)*) };
    let new = quote_spanned!(place(column.ty.span())=> __sora::Field::new(#at));
    quote! {
        #docs
        #vis const #constant: __sora::Field<Self, #stored> = #new;
    }
}

/// The type that the column is encoded and decoded as.
fn stored(column: &Column) -> TokenStream {
    let ty = &column.ty;
    match (column.json, option(ty)) {
        (false, _) => quote!(#ty),
        (true, None) => quote_spanned!(place(ty.span())=> __sora::json::Json<#ty>),
        (true, Some(inner)) => {
            quote_spanned!(place(ty.span())=> ::core::option::Option<__sora::json::Json<#inner>>)
        }
    }
}

/// The column as a constant. Each call has the place of its attribute: there the compiler reports
/// what it finds wrong.
fn spec(column: &Column) -> TokenStream {
    let (name, stored) = (&column.name, stored(column));
    let mut spec = match column.decimal {
        None => quote_spanned! {place(column.ty.span())=>
            __sora::derive::ColumnSpec::new::<#stored>(#name)
        },
        Some((precision, scale, at)) => quote_spanned! {place(at)=>
            __sora::derive::ColumnSpec::decimal::<#stored>(#name, #precision, #scale)
        },
    };
    if let Some(at) = column.key {
        spec = call(at, "key", None, spec);
    }
    if let Some(at) = column.version {
        spec = call(at, "version", None, spec);
    }
    match &column.assigned {
        Assigned::Caller => spec,
        Assigned::Identity(at) => call(*at, "identity", None, spec),
        Assigned::Now(at) => call(*at, "now", None, spec),
        Assigned::UuidV7(at) => call(*at, "uuid_v7", None, spec),
        Assigned::Default(literal, at) => {
            let (variant, value) = match literal {
                Literal::Bool(value) => ("Bool", quote!(#value)),
                Literal::Float(value) => ("F64", quote!(#value)),
                Literal::Integer(value) => ("I64", quote!(#value)),
                Literal::Text(value) => ("Text", quote!(#value)),
            };
            let variant = format_ident!("{variant}");
            {
                let literal = quote!(__sora::Cell::#variant(#value));
                call(*at, "default", Some(&stored), quote!(#spec, #literal))
            }
        }
    }
}

/// A call, not a method's: its place is the attribute alone, not all between it and the type.
fn call(
    at: Span,
    function: &str,
    generics: Option<&TokenStream>,
    arguments: TokenStream,
) -> TokenStream {
    let at = place(at);
    let function = Ident::new(function, at);
    let generics = generics.map(|generics| quote_spanned!(at=> ::<#generics>));
    let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
    arguments.set_span(at);
    quote_spanned!(at=> __sora::derive::ColumnSpec::#function #generics #arguments)
}

fn index(index: &Index) -> TokenStream {
    let Index { name, columns, unique } = index;
    let name = name.as_ref().map_or_else(
        || quote!(::core::option::Option::None),
        |name| quote!(::core::option::Option::Some(#name)),
    );
    quote!((#name, &[#(#columns),*], #unique))
}

fn implementation(entity: &Entity) -> TokenStream {
    let ident = &entity.ident;
    let key: Vec<_> = entity.key().collect();
    let types = key.iter().map(|column| &column.ty);
    let values = key.iter().map(|column| {
        let ident = &column.ident;
        quote_spanned!(place(column.ty.span())=> ::core::clone::Clone::clone(&self.#ident))
    });
    let (key_type, key_value) = match key.len() {
        1 => (quote!(#(#types)*), quote!(#(#values)*)),
        _ => (quote!((#(#types),*)), quote!((#(#values),*))),
    };
    let writes = entity.columns.iter().map(|Column { ident, constant, ty, .. }| {
        quote_spanned!(place(ty.span())=> __sora::derive::write(out, Self::#constant, &self.#ident)?;)
    });
    let reads =
        entity.columns.iter().enumerate().map(|(at, Column { ident, constant, ty, .. })| {
            let read =
                quote_spanned!(place(ty.span())=> __sora::derive::read(row, #at, Self::#constant)?);
            quote!(#ident: #read)
        });
    let defaults = entity.skipped.iter().map(|Skipped { ident, ty }| {
        let default = quote_spanned!(place(ty.span())=> ::core::default::Default::default());
        quote!(#ident: #default)
    });
    quote! {
        #[automatically_derived]
        impl __sora::Entity for #ident {
            type Key = #key_type;

            fn schema() -> __sora::Result<&'static ::std::sync::Arc<__sora::Schema>> {
                __SORA_ENTITY.schema()
            }

            fn key(&self) -> Self::Key {
                #key_value
            }

            fn encode(&self, out: &mut dyn __sora::CellSink) -> __sora::Result<()> {
                #(#writes)*
                ::core::result::Result::Ok(())
            }

            fn decode<__Row: __sora::Row + ?::core::marker::Sized>(row: &__Row) -> __sora::Result<Self> {
                ::core::result::Result::Ok(Self {
                    #(#reads,)*
                    #(#defaults,)*
                })
            }
        }

        #[automatically_derived]
        impl __sora::Record for #ident {
            fn spec() -> __sora::Result<__sora::RecordSpec<Self>> {
                __sora::RecordSpec::entity()
            }
        }
    }
}

fn insert(entity: &Entity) -> TokenStream {
    let ident = &entity.ident;
    let columns = entity.columns.iter().zip(0u16..).map(|(_, at)| at);
    quote! {
        #[automatically_derived]
        impl __sora::Insert<#ident> for #ident {
            const COLUMNS: &'static [u16] = &[#(#columns),*];

            fn encode(&self, out: &mut dyn __sora::CellSink) -> __sora::Result<()> {
                __sora::Entity::encode(self, out)
            }
        }
    }
}
