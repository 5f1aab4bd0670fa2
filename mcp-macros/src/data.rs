//! Types that go over the wire.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Expr};

/// What the derives are told: which crates they are to name.
fn derived(item: &DeriveInput) -> TokenStream {
    quote! {
        #[derive(
            ::mcp_server::serde::Serialize,
            ::mcp_server::serde::Deserialize,
            ::mcp_server::schemars::JsonSchema,
        )]
        #[serde(crate = "::mcp_server::serde")]
        #[schemars(crate = "::mcp_server::schemars")]
        #item
    }
}

pub(crate) fn expand_data(options: TokenStream, item: TokenStream) -> TokenStream {
    let parse = || {
        syn::parse2::<syn::parse::Nothing>(options)?;
        syn::parse2(item.clone())
    };
    match parse() {
        Ok(item) => derived(&item),
        Err(error) => failed(error, item),
    }
}

pub(crate) fn expand_notification(method: TokenStream, item: TokenStream) -> TokenStream {
    let parse = || {
        if method.is_empty() {
            let message = "a notification has a method: `#[notification(\"chat.said\")]`";
            return Err(syn::Error::new(proc_macro2::Span::call_site(), message));
        }
        let method: Expr = syn::parse2(method)?;
        if let Expr::Assign(named) = &method {
            let message = "the method has no name: `#[notification(\"chat.said\")]`";
            return Err(syn::Error::new_spanned(named, message));
        }
        Ok((method, syn::parse2::<DeriveInput>(item.clone())?))
    };
    let (method, item) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => return failed(error, item),
    };
    let (derived, name) = (derived(&item), &item.ident);
    let (generics, of, conditions) = item.generics.split_for_impl();
    quote! {
        #derived

        impl #generics ::mcp_server::Notification for #name #of #conditions {
            const METHOD: &'static str = #method;
            type Params = Self;
        }
    }
}

/// What is wrong, beside the item as it is, so that this is all that is said.
fn failed(error: syn::Error, item: TokenStream) -> TokenStream {
    let error = error.into_compile_error();
    quote! { #error #item }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_has_a_method_and_nothing_else() {
        for method in ["", "method = \"chat.said\""] {
            let tokens = |text: &str| text.parse().expect("the test's own tokens");
            let expanded = expand_notification(tokens(method), tokens("struct Said;"));
            let expanded = expanded.to_string();
            assert!(
                expanded.contains("`#[notification(\\\"chat.said\\\")]`"),
                "{expanded}"
            );
        }
    }
}
