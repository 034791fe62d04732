-- Where somebody reported a defect lets go of who did. A claim that was settled keeps its account for good, since its
-- points must go on to add up; so its square, its kind and the report's number leave it, by age or with the account.

ALTER TABLE points_claim DROP CONSTRAINT IF EXISTS points_claim_check;
ALTER TABLE points_claim ADD CONSTRAINT points_claim_place CHECK (
    CASE WHEN what = 'report' THEN cell IS NOT NULL OR settled_on IS NOT NULL ELSE cell IS NULL END
);

-- Squares that a report was paid for, so that none is paid for twice within a year. Nobody stands beside them.
CREATE TABLE points_place (
    cell       bigint NOT NULL,
    settled_on date   NOT NULL
);

-- Who redeemed: empty for the mall with the key file, else the department. Keys are a mall's own, and often count up:
-- another that guesses one must not give its points back.
ALTER TABLE redemption ADD COLUMN taker text NOT NULL DEFAULT '';
