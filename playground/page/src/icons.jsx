// Small drawings for buttons, where no font can be relied on to have the sign.
export const SEARCH = "M10.5 4a6.500 6.500 0 1 0 4 11.600l4.700 4.700 1.400-1.400-4.700-4.700A6.500 6.500 0 0 0 10.500 4zm0 2a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9z";
export const COPY = "M8 3h11a2 2 0 0 1 2 2v11h-2V5H8zM5 7h9a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2zm0 2v10h9V9z";

export const Icon = ({ path }) => (
  <svg className="drawing" viewBox="0 0 24 24" width="1em" height="1em" fill="currentColor" aria-hidden="true">
    <path d={path} fillRule="evenodd" />
  </svg>
);
