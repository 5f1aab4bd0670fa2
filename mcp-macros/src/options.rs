//! What is written between the parentheses of an attribute.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Token, parenthesized, token};

/// `title = "…"` or `title("…")`: a method of what is built, and what it is given.
pub(crate) struct Setting {
    pub(crate) method: Ident,
    pub(crate) arguments: TokenStream,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let method = input.parse()?;
        let arguments = if input.peek(token::Paren) {
            let arguments;
            parenthesized!(arguments in input);
            arguments.parse()?
        } else {
            input.parse::<Token![=]>()?;
            input.parse::<Expr>()?.into_token_stream()
        };
        Ok(Self { method, arguments })
    }
}

impl ToTokens for Setting {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { method, arguments } = self;
        tokens.extend(quote! { .#method(#arguments) });
    }
}

/// All settings of an attribute.
pub(crate) struct Settings(Vec<Setting>);

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let settings = Punctuated::<Setting, Token![,]>::parse_terminated(input)?;
        Ok(Self(settings.into_iter().collect()))
    }
}

impl Settings {
    /// Takes out what the last one of that name is given.
    pub(crate) fn take(&mut self, name: &str) -> Option<TokenStream> {
        let taken = self.0.extract_if(.., |setting| setting.method == name);
        taken.last().map(|setting| setting.arguments)
    }
}

impl ToTokens for Settings {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.iter().for_each(|setting| setting.to_tokens(tokens));
    }
}

/// What comes first and has no name, then settings.
pub(crate) struct Located {
    pub(crate) uri: Expr,
    pub(crate) settings: Settings,
}

impl Parse for Located {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let uri = input.parse()?;
        if let Expr::Assign(named) = &uri {
            let message =
                "the URI comes first, without a name: `#[resource(\"weather://{city}\")]`";
            return Err(Error::new_spanned(named, message));
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        let settings = input.parse()?;
        Ok(Self { uri, settings })
    }
}
