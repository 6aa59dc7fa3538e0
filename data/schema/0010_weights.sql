-- How the matrices of a model were kept when it was judged, and are to be kept
-- since it was promoted: stored f32 q8_0 q4_0; NULL: stored, or no model here.

ALTER TABLE evaluation ADD COLUMN weights TEXT;
ALTER TABLE registry_event ADD COLUMN weights TEXT;
