CATEGORY = "category"
SUBTYPE_PREFIX = "subtype_"
CONTENT_TYPE = "content_type"
