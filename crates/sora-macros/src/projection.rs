//! `#[derive(Projection)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Result};

use crate::attribute::{place, refuse};
use crate::selection::{Selected, Selection};

/// Returns the implementation of `Projection`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Selection { entity, path, fields } = Selection::parse(input, "a projection")?;
    if !input.generics.params.is_empty() {
        let message = "a projection has no generics: it owns what it reads";
        return Err(refuse(&input.generics, message));
    }
    let ident = &input.ident;
    let columns = fields.iter().map(
        |Selected { constant, .. }| quote_spanned!(place(constant.span())=> <#entity>::#constant.column()),
    );
    let reads = fields.iter().enumerate().map(|(at, Selected { ident, ty, constant })| {
        let read = quote_spanned! {place(ty.span())=>
            __sora::derive::read(row, #at, <#entity>::#constant)?
        };
        quote!(#ident: #read)
    });
    Ok(quote! {
        const _: () = {
            use #path as __sora;

            #[automatically_derived]
            impl __sora::Projection<#entity> for #ident {
                const COLUMNS: &'static [u16] = &[#(#columns),*];

                fn decode<__Row: __sora::Row + ?::core::marker::Sized>(
                    row: &__Row,
                ) -> __sora::Result<Self> {
                    ::core::result::Result::Ok(Self { #(#reads),* })
                }
            }

            #[automatically_derived]
            impl __sora::Record for #ident {
                fn spec() -> __sora::Result<__sora::RecordSpec<Self>> {
                    __sora::RecordSpec::projection::<#entity>()
                }
            }
        };
    })
}
