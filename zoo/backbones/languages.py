"""Lists of languages that several checkpoints share."""

from typing import Final

#: What multilingual checkpoints of about 100 languages have in common, most used ones only.
MULTILINGUAL: Final = (
    "multilingual",
    *("af", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es"),
    *("et", "eu", "fa", "fi", "fr", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is"),
    *("it", "ja", "ka", "kk", "kn", "ko", "ky", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms"),
    *("my", "ne", "nl", "no", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "sw"),
    *("ta", "te", "th", "tr", "uk", "ur", "uz", "vi", "zh"),
)
