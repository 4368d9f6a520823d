/** Names of a person. A bare `name` counts, because that is what the customer's field is called: log a `kind`, a `route` or a `provider` instead. */
const NAME = /^(?:full|first|middle|last|given|family|maiden|nick|sur|fore|user|customer|recipient|receiver|sender|contact|person|display|shipping|billing|holder|cardholder|legal|preferred)?names?$/
const CONTACT = /email|^mails?$|phone|^mobile(?:number)?$|^tel(?:ephone)?(?:number)?$|^fax(?:number)?$/
/** Addresses of houses and of machines: an IP address is personal too. */
const ADDRESS = /address(?:es|line\d?|\d)?$|^addr|^(?:street\w*|line[12]|city|postcode|postalcode|zip|zipcode|ip|clientip|remoteip|xforwardedfor|forwarded|xrealip)$/
const IDENTITY = /^(?:dob|birth(?:day|date)|dateofbirth|ssn|nationalid|taxid|passport(?:number)?|iban|cardnumber|pan|cvv|cvc)$/
const SECRET = /password|passwd|passphrase|secret|credential|authorization|cookie|keyring|(?:api|private|access|encryption|master|signing|data)keys?|jwt|^(?:auth|bearer|pass|pin|otp|pwd)$/
/** Whoever knows a session's id has the session. */
const TOKEN = /tokens?$|^(?:session(?:id|key)?|sid)$/

const SENSITIVE = new RegExp([NAME, CONTACT, ADDRESS, IDENTITY, SECRET, TOKEN].map(({ source }) => source).join("|"))

/** Whether what stands under such a key is a person's or a secret, however the key is spelled: `apiKey`, `API_KEY`, `api-key`. */
export const isSensitiveKey = (key: string): boolean => SENSITIVE.test(key.toLowerCase().replace(/[^a-z0-9]/g, ""))
