-- What the recogniser says of a finding; NULL where it said nothing, and of findings that are older than it.
ALTER TABLE finding
    ADD COLUMN p       float4,                -- that it is a defect at all, calibrated
    ADD COLUMN named   text,                  -- type, or class of what a wheel tells apart; without a laser only ever a class
    ADD COLUMN subtype text,                  -- of the type that is named, where it has any
    ADD COLUMN named_p float4,                -- of what is named, given a defect
    ADD COLUMN size_mm float4;                -- how high or deep, given a defect
