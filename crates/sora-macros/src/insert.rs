//! `#[derive(Insert)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Result};

use crate::attribute::place;
use crate::selection::{Selected, Selection};

/// Returns the implementation of `Insert`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Selection { entity, path, fields } = Selection::parse(input, "a new row")?;
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    let columns: Vec<_> = fields
        .iter()
        .map(|Selected { constant, .. }| {
            quote_spanned!(place(constant.span())=> <#entity>::#constant.column())
        })
        .collect();
    let writes = fields.iter().map(|Selected { ident, ty, constant }| {
        quote_spanned! {place(ty.span())=>
            __sora::derive::write(out, <#entity>::#constant, &self.#ident)?;
        }
    });
    let check = quote_spanned! {place(ident.span())=>
        __sora::derive::check_insert(<#entity>::__SORA_COLUMNS, &[#(#columns),*])
    };
    Ok(quote! {
        const _: () = {
            use #path as __sora;

            const _: () = #check;

            #[automatically_derived]
            impl #generics __sora::Insert<#entity> for #ident #arguments #conditions {
                const COLUMNS: &'static [u16] = &[#(#columns),*];

                fn encode(&self, out: &mut dyn __sora::CellSink) -> __sora::Result<()> {
                    #(#writes)*
                    ::core::result::Result::Ok(())
                }
            }
        };
    })
}
